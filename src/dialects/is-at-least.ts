/** Whether a version such as `0.14.1-rc2` or `v3.10.0 (abc)` is not before another. What has no numbers is before all. */
export function isAtLeast(version: string, since: string): boolean {
  const have = numbersOf(version);
  if (have.length === 0) return false;
  for (const [index, wanted] of numbersOf(since).entries()) {
    const number = have[index] ?? 0;
    if (number !== wanted) return number > wanted;
  }
  return true;
}

function numbersOf(version: string): readonly number[] {
  const [numbers = ""] = /\d+(?:\.\d+)*/.exec(version) ?? [];
  return numbers === "" ? [] : numbers.split(".").map(Number);
}
