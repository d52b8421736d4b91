import { z } from "zod";
import { NexusError } from "../../base/errors.ts";
import { describeIssues } from "../../contract/parse.ts";
import type { ServiceRequest } from "../service.ts";
import type { JobOrder } from "./job-backend.ts";

const requestSchema = z.looseObject({
  // Jobs that are made of others have their model.
  model: z.string().default(""),
  prompt: z.string().min(1, "says what is to be made").max(32_000),
  // OpenAI has it as a text.
  seconds: z.coerce.number().min(1).max(600).nullish(),
  size: z
    .string()
    .regex(/^\d{2,4}x\d{2,4}$/, 'such as "1280x720"')
    .nullish(),
});

/** @throws NexusError `invalid_request` that names the field at fault. */
export function parseJobRequest({ body, files }: Pick<ServiceRequest, "body" | "files">): JobOrder {
  const result = requestSchema.safeParse(body);
  if (!result.success) {
    const param = String(result.error.issues[0]?.path[0] ?? "");
    throw new NexusError("invalid_request", describeIssues(result.error), param === "" ? {} : { param });
  }
  const { model, prompt, seconds } = result.data;
  return { model, prompt, seconds: seconds ?? null, fields: body, files };
}
