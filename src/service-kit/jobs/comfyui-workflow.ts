import { z } from "zod";
import { NexusError } from "../../base/errors.ts";

const nodeSchema = z.looseObject({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) });
const workflowSchema = z.record(z.string(), nodeSchema);
/** Nodes by id, as ComfyUI's `POST /prompt` takes them. An input that is a list of an id and a number is another node's output. */
export type ComfyUiWorkflow = z.output<typeof workflowSchema>;

/**
 * Reads a workflow that was exported from ComfyUI with "Export (API)". `variable` is where it was named.
 * @throws NexusError `invalid_request` for anything else, and for one that has no place for a prompt.
 */
export function parseComfyUiWorkflow(text: string, variable: string): ComfyUiWorkflow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new NexusError("invalid_request", `${variable} is no JSON.`, { cause: error });
  }
  const result = workflowSchema.safeParse(value);
  if (result.success && text.includes('"%prompt%"')) return result.data;
  throw new NexusError(
    "invalid_request",
    `${variable} must be exported with "Export (API)", and have "%prompt%" where the prompt belongs.`,
  );
}

/** The workflow with a request's values in the places that are marked `%name%`. What has no value stays as it is. */
export function fillComfyUiWorkflow(
  workflow: ComfyUiWorkflow,
  values: Readonly<Record<string, string | number | undefined>>,
): ComfyUiWorkflow {
  const fill = (value: unknown): unknown => {
    const name = typeof value === "string" ? /^%(\w+)%$/.exec(value)?.[1] : undefined;
    return name === undefined ? value : (values[name] ?? value);
  };
  return Object.fromEntries(
    Object.entries(workflow).map(([id, node]) => {
      const inputs = Object.fromEntries(Object.entries(node.inputs).map(([name, value]) => [name, fill(value)]));
      return [id, { ...node, inputs }];
    }),
  );
}
