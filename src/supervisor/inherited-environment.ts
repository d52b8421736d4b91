/**
 * What a supervised process gets from the environment of Nexus; the rest its spec says. Not passed on, and the reason
 * for the list: `NODE_OPTIONS` and its like, which would change every Node process below, and the operator's secrets.
 */
const inheritedVariables = [
  // To find programs, files and themselves.
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "TMPDIR",
  // To speak the operator's language, at his time.
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  // To get out.
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "ALL_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "all_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
] as const;

/** Picks from an environment what supervised processes inherit. */
export function inheritedEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    inheritedVariables.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
