import { parseArgs } from "node:util";

export const usage = `npm run bench -- [options]

  --quick              short rounds and little of each; ends within 5 minutes
  --only NAMES         these gateways only: direct, nginx, haproxy, nexus, gomodel, bifrost, olla, portkey, litellm
  --loads NAMES        these loads only: chat, rate, single, stream, paced, prompt, workers, start, soak, parts
  --rounds N           rounds of each load (default 5; quick 2)
  --seconds N          length of a round (default 8; quick 2)
  --soak-requests N    requests of the soak (default 1000000, quick 20000); a hundredth of it are streams
  --soak-seconds N     longest soak of one gateway (default 180; quick 5)
  --no-install         don't install what isn't there yet; --quick leaves out what takes long
  --output FILE        default bench/results.json; of a partial run bench/results.local.json
`;

export interface Flags {
  readonly quick: boolean;
  readonly only: readonly string[] | undefined;
  readonly loads: readonly string[] | undefined;
  readonly rounds: number;
  readonly seconds: number;
  readonly soakRequests: number;
  readonly soakSeconds: number;
  readonly mayInstall: boolean;
  readonly output: string | undefined;
}

/** @throws Error that names the flag at fault. */
export function readFlags(argv: readonly string[]): Flags | "help" {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      loads: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      "soak-requests": { type: "string" },
      "soak-seconds": { type: "string" },
      "no-install": { type: "boolean", default: false },
      output: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { quick } = values;
  return {
    quick,
    only: names(values.only),
    loads: names(values.loads),
    rounds: count("--rounds", values.rounds) ?? (quick ? 2 : 5),
    seconds: count("--seconds", values.seconds) ?? (quick ? 2 : 8),
    soakRequests: count("--soak-requests", values["soak-requests"]) ?? (quick ? 20_000 : 1_000_000),
    soakSeconds: count("--soak-seconds", values["soak-seconds"]) ?? (quick ? 5 : 180),
    mayInstall: !values["no-install"],
    output: values.output,
  };
}

function names(text: string | undefined): string[] | undefined {
  return text?.split(",").map((name) => name.trim());
}

function count(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`${flag} takes a whole number above 0`);
}
