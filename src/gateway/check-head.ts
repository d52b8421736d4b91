import { NexusError } from "../base/errors.ts";

/** Headers that must not come twice: two readers could each take another one for the true one. */
const singleHeaders = ["host", "authorization", "x-api-key", "content-type", "content-length", "transfer-encoding"];

/**
 * What is wrong with a head that Node's parser takes, if anything. Duplicates, absolute targets and the like are where
 * two servers read one request differently.
 */
export function headProblem(target: string, rawHeaders: readonly string[]): NexusError | undefined {
  const seen = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? "";
    if (!singleHeaders.includes(name)) continue;
    if (seen.has(name)) return new NexusError("invalid_header", `The header '${name}' came twice: send it once.`);
    seen.add(name);
  }
  if (!seen.has("host")) return new NexusError("invalid_header", "The header 'host' is missing.");
  if (target.startsWith("/")) return undefined;
  return new NexusError("invalid_header", "The request's target must be a path: this is no forward proxy.");
}
