/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** `nexus.yaml:12`, `NEXUS_PORT` or `--port`. */
  readonly where: string;
  /** `gateway.retry.attemptsMax`; empty for the whole file. */
  readonly path: string;
  /** What is wrong and, where it can be known, what was meant. Never the value: it may be a secret. */
  readonly message: string;
}

/** The configuration can't be used. Every problem is listed, so that one round of editing mends it. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(describeProblem).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** `nexus.yaml:12  gateway.retry.attemptsMax: must be ...` */
export function describeProblem({ where, path, message }: ConfigProblem): string {
  return `${where}  ${path === "" ? message : `${path}: ${message}`}`;
}

/** `services[0].command` */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
    "",
  );
}
