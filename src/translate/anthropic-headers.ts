/** The date that names a version of the API. */
const version = /^\d{4}-\d{2}-\d{2}$/;
/** The name of a beta, such as `files-api-2025-04-14`. */
const beta = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Betas that go on; Claude Code asks for some eight. */
const betasMax = 32;

/**
 * What a server of Anthropic's API gets of the headers of a client that speaks it too: the version and the betas that its
 * body is written for, and nothing else. What is no version or no name of a beta is left out; betas may come in several
 * headers. `rawHeaders` are names and values in turns.
 */
export function anthropicHeaders(rawHeaders: readonly string[]): Readonly<Record<string, string>> {
  const versions = valuesOf(rawHeaders, "anthropic-version").filter((value) => version.test(value));
  const betas = [...new Set(valuesOf(rawHeaders, "anthropic-beta").filter((value) => beta.test(value)))];
  return {
    ...(versions[0] === undefined ? {} : { "anthropic-version": versions[0] }),
    ...(betas.length === 0 ? {} : { "anthropic-beta": betas.slice(0, betasMax).join(",") }),
  };
}

function valuesOf(rawHeaders: readonly string[], wanted: string): readonly string[] {
  return rawHeaders.flatMap((name, at) => {
    const isName = at % 2 === 0 && name.toLowerCase() === wanted;
    return isName ? (rawHeaders[at + 1] ?? "").split(",").map((value) => value.trim()) : [];
  });
}
