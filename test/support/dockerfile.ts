/** One instruction of a Dockerfile, with its continuation lines. */
interface Instruction {
  readonly name: string;
  readonly value: string;
}

/** A stage, with what it inherits from the stages that it is built on. */
interface Stage {
  readonly name: string | undefined;
  /** Another stage, or an image. */
  readonly base: string;
  readonly user: string;
  readonly hasHealthCheck: boolean;
  readonly starts: readonly string[];
}

/** Images that are built from this repository: they have the version that was checked out. */
const ownImages = new Set(["nexus"]);
const exactVersion = /:v?\d+\.\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$/;

/**
 * What is wrong with a Dockerfile by the rules of this repository: bases with an exact version, and stages that somebody
 * may run (those on which no other is built) with another user than root, a health check, and a start that gets signals.
 */
export function findDockerfileFaults(text: string): string[] {
  const instructions = readInstructions(text);
  const stages = readStages(instructions);
  const names = new Set(stages.map(({ name }) => name));
  const used = new Set(stages.map(({ base }) => base));
  for (const { value } of instructions) for (const [, from = ""] of value.matchAll(/--from=(\S+)/g)) used.add(from);
  const bases = stages.filter(({ base }) => !names.has(base) && !ownImages.has(base) && !exactVersion.test(base));
  const last = stages.at(-1);
  const run = stages.filter((stage) => stage === last || stage.name === undefined || !used.has(stage.name));
  return [
    ...bases.map(({ base }) => `${base} has no exact version`),
    ...run.flatMap((stage) => {
      const where = stage.name ?? stage.base;
      return [
        ...(/^(root|0)?(:|$)/.test(stage.user) ? [`${where} runs as root`] : []),
        ...(stage.hasHealthCheck ? [] : [`${where} has no HEALTHCHECK`]),
        // Through a shell, SIGTERM ends the shell and kills what it has started.
        ...stage.starts.filter((start) => !start.startsWith("[")).map((start) => `${where} starts a shell: ${start}`),
      ];
    }),
  ];
}

function readInstructions(text: string): Instruction[] {
  const lines = text.replaceAll(/^\s*#.*\n/gm, "").replaceAll(/\\\n/g, " ");
  return lines.split("\n").flatMap((line) => {
    const [, name, value = ""] = /^\s*([A-Za-z]+)\s+(.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [{ name: name.toUpperCase(), value: value.trim() }];
  });
}

function readStages(instructions: readonly Instruction[]): Stage[] {
  const variables = new Map<string, string>();
  const stages: Stage[] = [];
  for (const { name, value } of instructions) {
    if (name === "ARG" && stages.length === 0) {
      const [key = "", preset = ""] = value.split("=");
      variables.set(key, preset.replaceAll('"', ""));
    }
    if (name === "FROM") stages.push(beginStage(value, variables, stages));
    const stage = stages.at(-1);
    if (stage === undefined || name === "FROM") continue;
    stages[stages.length - 1] = {
      ...stage,
      ...(name === "USER" ? { user: value } : {}),
      ...(name === "HEALTHCHECK" ? { hasHealthCheck: value !== "NONE" } : {}),
      ...(name === "ENTRYPOINT" || name === "CMD" ? { starts: [...stage.starts, value] } : {}),
    };
  }
  return stages;
}

function beginStage(value: string, variables: ReadonlyMap<string, string>, stages: readonly Stage[]): Stage {
  const words = value.split(/\s+/).filter((word) => !word.startsWith("--"));
  const base = (words[0] ?? "").replaceAll(/\$\{?(\w+)\}?/g, (_all, key: string) => variables.get(key) ?? "");
  const below = stages.find(({ name }) => name === base);
  return {
    name: words[2],
    base,
    user: below?.user ?? "",
    hasHealthCheck: below?.hasHealthCheck ?? false,
    starts: below?.starts ?? [],
  };
}
