import { parseArgs } from "node:util";

export const usage = `npm run bench -- [options]

  --quick              short rounds, two of each; ends within 5 minutes
  --only NAMES         these gateways only, such as nexus,nginx
  --loads NAMES        these loads only, such as chat,stream
  --rounds N           rounds of each load (default 5; quick 2)
  --seconds N          length of a round (default 8; quick 2)
  --no-install         don't install peers that aren't there yet
  --output FILE        default bench/results.json; of a partial run bench/results.local.json
`;

export interface Flags {
  readonly quick: boolean;
  readonly only: readonly string[] | undefined;
  readonly loads: readonly string[] | undefined;
  readonly rounds: number;
  readonly seconds: number;
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
      "no-install": { type: "boolean", default: false },
      output: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    quick: values.quick,
    only: names(values.only),
    loads: names(values.loads),
    rounds: count("--rounds", values.rounds) ?? (values.quick ? 2 : 5),
    seconds: count("--seconds", values.seconds) ?? (values.quick ? 2 : 8),
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
