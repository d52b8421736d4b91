import type { NexusError } from "./errors.ts";

/** The error body of OpenAI's API, as every Nexus endpoint answers it. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

/** The public face of an error: never its `detail` or `cause`. */
export function toErrorBody(error: NexusError): ErrorBody {
  return { error: { message: error.message, type: error.type, param: error.param, code: error.code } };
}
