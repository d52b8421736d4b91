/** Whether a name fits a pattern in which `*` stands for any characters, none included. Case counts. */
export type NameMatcher = (name: string) => boolean;

/** Compiles patterns once; a name fits when one of them does. */
export function compileGlobs(patterns: readonly string[]): NameMatcher {
  const names = new Set(patterns.filter((pattern) => !pattern.includes("*")));
  const globs = patterns.filter((pattern) => pattern.includes("*")).map((pattern) => pattern.split("*"));
  return (name) => names.has(name) || globs.some((parts) => fits(name, parts));
}

/** The pieces between the stars, each as early as it can be: linear, where a regular expression could backtrack. */
function fits(name: string, parts: readonly string[]): boolean {
  const [first = ""] = parts;
  const last = parts.at(-1) ?? "";
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let at = first.length;
  const end = name.length - last.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
