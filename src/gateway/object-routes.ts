import { type OperationId, operationById } from "../contract/operations.ts";
import { requireAllowed } from "./authenticate.ts";
import type { Route } from "./routes.ts";
import { serveBatches } from "./serve-batches.ts";
import { serveFiles } from "./serve-files.ts";
import { serveJobs } from "./serve-jobs.ts";
import { serveResponses, serveStoredResponses } from "./serve-responses.ts";

const serving = {
  "responses.create": serveResponses,
  ...serveStoredResponses,
  ...serveJobs,
  ...serveFiles,
  ...serveBatches,
} as const satisfies Partial<Record<OperationId, Route["serve"]>>;

/** Operations on what clients leave with the gateway: answers to build on, jobs, files, batches. */
export const objectRoutes: readonly Route[] = Object.entries(serving).map(([id, serve]) => {
  const { method, path } = operationById(id as OperationId);
  return {
    method,
    path,
    operation: id,
    access: "models",
    serve(exchange, parts, at) {
      if (exchange.caller !== undefined) requireAllowed(exchange.caller, id);
      return serve(exchange, parts, at);
    },
  };
});
