import { acquireSingleInstance } from "../../src/supervisor/single-instance.ts";

/** Contends for the data directory `argv[2]` when a line comes; prints `taken` and holds on, or the error's code. */
process.stdout.write("ready\n");
process.stdin.once("data", () => {
  try {
    acquireSingleInstance(process.argv[2] ?? "");
    process.stdout.write("taken\n");
  } catch (error) {
    process.stdout.write(`${(error as { code?: string }).code}\n`);
  }
});
