import { toFailure } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

/** What a verb found out. It is printed once: as text for people, or with `--json` as one document. */
export interface Answer {
  readonly json: unknown;
  /** Lines for stdout. */
  readonly text: readonly string[];
  /** Default 0: a check that failed has an answer too. */
  readonly exitCode?: ExitCode;
}

/** Prints before the verb ends, for verbs that go on afterwards. At most once. */
export type Print = (answer: Answer) => void;

/** A verb. It returns its answer, or undefined when it has printed all there is to say. */
export type Verb<F, A extends readonly unknown[]> = (
  call: { readonly context: CliContext; readonly print: Print },
  flags: F,
  ...positional: A
) => Promise<Answer | undefined>;

export interface JsonFlags {
  readonly json?: boolean;
}

/** Makes a verb what Stricli runs: loaded when it is needed, its answer printed, its failure shown with an exit status. */
export function lazyVerb<F extends JsonFlags, A extends readonly unknown[]>(load: () => Promise<Verb<F, A>>) {
  return async () => {
    const verb = await load();
    return async function (this: CliContext, flags: F, ...positional: A): Promise<void> {
      this.process.exitCode = await runVerb(this, flags.json === true, (print) =>
        verb({ context: this, print }, flags, ...positional),
      );
    };
  };
}

/** Runs a verb to its exit status. Exactly one JSON document reaches stdout when `isJson`. */
export async function runVerb(
  context: CliContext,
  isJson: boolean,
  run: (print: Print) => Promise<Answer | undefined>,
): Promise<ExitCode> {
  let printed: Answer | undefined;
  const print: Print = (answer) => {
    if (printed !== undefined) throw new Error("a verb prints one answer");
    printed = answer;
    if (isJson) context.terminal.print(JSON.stringify(answer.json, null, 2));
    else if (answer.text.length > 0) context.terminal.print(...answer.text);
  };
  try {
    const answer = await run(print);
    if (answer !== undefined) print(answer);
    return printed?.exitCode ?? exitCodes.ok;
  } catch (error) {
    return showFailure(context, isJson && printed === undefined, error);
  }
}

/** Says what went wrong: on stdout as JSON, else on stderr. */
export function showFailure({ terminal, interrupts }: CliContext, isJson: boolean, thrown: unknown): ExitCode {
  const failure = toFailure(interrupts.signal.aborted ? Object.assign(new Error(), { name: "AbortError" }) : thrown);
  if (isJson) terminal.print(JSON.stringify(failure.body, null, 2));
  else {
    const [message = "", ...hints] = failure.lines;
    terminal.note(`${terminal.paintNote("red", "nexus:")} ${message}`, ...hints);
  }
  return failure.exitCode;
}
