import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

/**
 * Runs a program to its end and resolves to what it wrote to stdout.
 * @throws Error with what it wrote to stderr when it fails or takes longer.
 */
export async function runProgram(
  [program = "", ...args]: readonly string[],
  timeoutMs: number,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code === 0 ? "" : `ended with ${code ?? signal}`));
  });
  const [out, err, how] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (how !== "") throw new Error(`${program} ${args.slice(0, 6).join(" ")}: ${how}\n${(out + err).slice(-4_000)}`);
  return out;
}
