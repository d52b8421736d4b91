import manifest from "../../package.json" with { type: "json" };
import { exitCodes } from "./exit-codes.ts";
import { type Interrupts, listenToInterrupts } from "./interrupts.ts";
import type { Roles } from "./roles.ts";
import { runCli } from "./run-cli.ts";
import { createTerminal } from "./terminal.ts";

/** Runs this process's command line, and ends the process with its exit status. */
export async function runProcess(entry: string, roles: Roles): Promise<void> {
  const interrupts = listenToInterrupts(process, () => process.exit(exitCodes.interrupted));
  ignoreLostReaders(interrupts);
  // A verb may wait for a timer or a process only, and those keep no process alive. It ends when the verb does.
  setInterval(() => {}, 2 ** 30);
  const exitCode = await runCli(process.argv.slice(2), {
    terminal: createTerminal({
      stdout: process.stdout,
      stderr: process.stderr,
      stdin: process.stdin,
      environment: process.env,
    }),
    environment: process.env,
    workingDirectory: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    interrupts,
    entry,
    version: manifest.version,
    roles,
  });
  // What is on its way through a pipe must still get out.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
}

/**
 * A reader that has seen enough, as in `nexus logs | head`, is no error: the verb is over. A verb that took the
 * interrupts has processes to look after and goes on without a reader; EIO is a terminal that was closed.
 */
function ignoreLostReaders(interrupts: Interrupts): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
      if (!interrupts.isTaken()) process.exit();
    });
  }
}
