/** What the exit status of `nexus` means. Public: scripts depend on it. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notReady: 3,
  denied: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** For the reference page. */
export const exitCodeMeanings: Readonly<Record<ExitCode, string>> = {
  0: "Done.",
  1: "It failed; the message says why.",
  2: "A wrong verb, flag, argument or configuration: nothing was done.",
  3: "No platform was found, or it is not ready yet.",
  4: "The key is missing, wrong or may not do this, or the data directory belongs to somebody else.",
  130: "Interrupted (Ctrl-C).",
};
