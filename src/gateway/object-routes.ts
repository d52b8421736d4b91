import { type OperationId, operationById } from "../contract/operations.ts";
import type { Route } from "./routes.ts";
import { serveResponses, serveStoredResponses } from "./serve-responses.ts";

const serving = {
  "responses.create": serveResponses,
  ...serveStoredResponses,
} as const satisfies Partial<Record<OperationId, Route["serve"]>>;

/** Operations on what the gateway keeps: stored answers. */
export const objectRoutes: readonly Route[] = Object.entries(serving).map(([id, serve]) => {
  const { method, path } = operationById(id as OperationId);
  return { method, path, operation: id, access: "key", serve };
});
