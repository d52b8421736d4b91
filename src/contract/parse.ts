import type { z } from "zod";
import { type ErrorCode, NexusError } from "../base/errors.ts";

/** `models[0].id: no control characters; service.name: Required` and so on: every issue, at most five, on one line. */
export function describeIssues(error: z.ZodError): string {
  const shown = error.issues.slice(0, 5).map((issue) => {
    const path = issue.path.reduce<string>(
      (text, part) =>
        typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
      "",
    );
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  const more = error.issues.length - shown.length;
  return more > 0 ? `${shown.join("; ")}; and ${more} more` : shown.join("; ");
}

/** Parses or throws a `NexusError` of `code` whose message names what is wrong, in words that start with `what`. */
export function parseOrThrow<S extends z.ZodType>(
  schema: S,
  value: unknown,
  code: ErrorCode,
  what: string,
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new NexusError(code, `${what}: ${describeIssues(result.error)}`);
}
