/** Whether a name fits. */
export type NameMatcher = (name: string) => boolean;

/**
 * A name in which `*` stands for any characters, none included; everything else for itself, case and all. Takes time in
 * proportion to the name's length, whatever the pattern: a regular expression could backtrack.
 */
export function compileGlob(pattern: string): NameMatcher {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return (name) => name === pattern;
  return (name) => {
    const end = name.length - last.length;
    let at = first.length;
    if (at > end || !name.startsWith(first) || !name.endsWith(last)) return false;
    return rest.every((part) => {
      const found = name.indexOf(part, at);
      at = found + part.length;
      return found !== -1 && at <= end;
    });
  };
}
