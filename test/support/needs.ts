/**
 * Options for a test that needs a part of the machine which may be missing. Without it the test is skipped and
 * counted; with `CI=true`, where every part must be there, `npm test` takes the skip for a failure.
 *
 *     test("asks with Python", { ...needs("python3", hasPython), timeout: 30_000 }, async () => ...)
 */
export function needs(part: string, isPresent: boolean): { skip: string | false } {
  return { skip: isPresent ? false : `needs ${part}` };
}
