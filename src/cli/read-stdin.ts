import { CliError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";

/**
 * All that is piped in, until its end or an interrupt.
 * @throws CliError when there is more than `bytesMax`; the signal's reason for an interrupt.
 */
export async function readStdin({ stdin, interrupts }: CliContext, bytesMax: number): Promise<Buffer> {
  const { signal } = interrupts;
  const chunks: Buffer[] = [];
  let length = 0;
  const leave = () => void (stdin as NodeJS.ReadStream).destroy();
  signal.addEventListener("abort", leave, { once: true });
  try {
    for await (const chunk of stdin) {
      const bytes = Buffer.from(chunk);
      length += bytes.length;
      if (length > bytesMax)
        throw new CliError(exitCodes.usage, "usage", `stdin is larger than ${bytesMax / 2 ** 20} MB.`);
      chunks.push(bytes);
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", leave);
  }
  signal.throwIfAborted();
  return Buffer.concat(chunks);
}
