import { NexusError } from "nexus/base";
import { describeIssues } from "nexus/contract";
import type { z } from "zod";

/**
 * A request's body as its schema has it.
 * @throws NexusError `invalid_request` with the field at fault as `param`.
 */
export function parseRequest<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const field = result.error.issues[0]?.path[0];
  throw new NexusError(
    "invalid_request",
    describeIssues(result.error),
    field === undefined ? {} : { param: String(field) },
  );
}
