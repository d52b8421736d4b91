import { text } from "node:stream/consumers";
import { work } from "./work.ts";

/*
 * A small program, until there is a real one in any language: the request as JSON on stdin, the result on stdout. It is
 * told to end with SIGTERM when its client has left.
 */
const request: unknown = JSON.parse(await text(process.stdin), (_key, value: unknown) =>
  typeof value === "object" && value !== null && "base64" in value
    ? Buffer.from(String(value.base64), "base64")
    : value,
);
type Run = (request: unknown, context: { readonly signal: AbortSignal }) => unknown;

try {
  const result = await (work as Run)(request, { signal: new AbortController().signal });
  if (result instanceof Uint8Array) process.stdout.write(result);
  else if (typeof result === "object" && result !== null && Symbol.asyncIterator in result) {
    for await (const piece of result as AsyncIterable<string | Uint8Array>) process.stdout.write(piece);
  } else process.stdout.write(JSON.stringify(result));
} catch (error) {
  const isRefusal = error instanceof Error && error.name === "NexusError";
  process.stderr.write(`${isRefusal ? error.message : String(error)}\n`);
  // The status that says: it is the request that is wrong.
  process.exitCode = isRefusal ? 65 : 1;
}
