import { z } from "zod";
import { closestName } from "../base/close-names.ts";
import { nameSchema } from "../contract/metadata.ts";
import { operations } from "../contract/operations.ts";
import { tierMax } from "../contract/service-labels.ts";
import { compileSelector, SelectorError, selectorCharactersMax } from "./selector.ts";

const selectorSchema = z
  .string()
  .min(1)
  .max(selectorCharactersMax)
  .superRefine((source, context) => {
    try {
      compileSelector(source);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      context.addIssue({ code: "custom", message: error.message });
    }
  });

const deadline = (text: string) => z.int().positive().max(86_400_000).optional().describe(text);

/** Deadlines of one attempt, each optional: what is absent is decided by the next layer. */
const deadlines = {
  connectMs: deadline("To open a connection to an instance."),
  firstTokenMs: deadline("From sending the request to the first byte of the answer."),
  stallMs: deadline("Between two pieces of an answer that has begun."),
};

/** `timeouts.operations`, of the gateway and of a route: operation id to its own deadlines. */
export const operationTimeoutsSchema = z
  .record(z.string(), z.strictObject(deadlines))
  .superRefine((timeouts, context) => {
    const ids = operations.filter(({ owner }) => owner === "instance").map(({ id }) => id);
    for (const id of Object.keys(timeouts)) {
      if (ids.some((known) => known === id)) continue;
      const meant = closestName(id, ids);
      const hint = meant === undefined ? `there are ${ids.join(", ")}` : `did you mean '${meant}'?`;
      context.addIssue({ code: "custom", path: [id], message: `no such operation; ${hint}` });
    }
  });

const candidateSchema = z.strictObject({
  model: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe("The model to ask for instead of the one that the client named."),
  service: nameSchema
    .optional()
    .describe("Only instances of this service, or the server attached under this name. Naming a paid one allows it."),
  where: selectorSchema
    .optional()
    .describe("Only instances that fit this expression, such as `host.gpu.memory >= 16Gi`."),
  tier: z
    .int()
    .min(0)
    .max(tierMax)
    .optional()
    .describe(
      "The lowest goes first; a higher one is used when none of the lower can serve. Default: the tier that the server is attached with, else 0.",
    ),
  weight: z.number().min(0.001).max(1000).default(1).describe("Its share of the requests among those of its tier."),
});

const routeSchema = z.strictObject({
  model: z
    .string()
    .min(1)
    .max(256)
    .describe("The models it is for: a name, or one with `*` in it. An exact name goes first, then the longest."),
  candidates: z
    .array(candidateSchema)
    .min(1)
    .max(64)
    .optional()
    .describe(
      "Who may serve it; the first that fits an instance counts. Default: every instance that offers the model.",
    ),
  where: selectorSchema.optional().describe("What every instance must fit besides."),
  residency: z
    .array(z.string().min(1).max(256))
    .min(1)
    .max(64)
    .optional()
    .describe("The only zones that requests may go to. Hosts whose zone is unknown are left out."),
  allowPaid: z.boolean().default(false).describe("Whether services that cost money may serve it without being named."),
  overflow: z
    .strictObject({
      afterMs: z.int().nonnegative().max(86_400_000).describe("The estimated wait in the queue of the lower tier."),
    })
    .optional()
    .describe("Use the next tier when the queue of a lower one is long. Default: requests wait, however long it is."),
  prefixAffinity: z
    .boolean()
    .default(true)
    .describe("Send requests that begin alike to the same instance, whose cache has that beginning."),
  timeouts: z
    .strictObject({
      ...deadlines,
      operations: operationTimeoutsSchema.optional().describe("The same for one operation."),
    })
    .optional()
    .describe("Deadlines in milliseconds that differ from the gateway's."),
  hedge: z
    .strictObject({ afterMs: z.int().positive().max(86_400_000).describe("Without an answer for this long.") })
    .optional()
    .describe("Ask a second instance too, and take the first answer. Only for operations that may be repeated safely."),
  continueStreams: z
    .boolean()
    .default(false)
    .describe("Fetch the rest of a cut stream from another instance, where it can continue an answer."),
});

/** `routes`: which instances serve which models, and how. */
export const routesConfigSchema = z
  .array(routeSchema)
  .max(1000)
  .default([])
  .superRefine((routes, context) => {
    const seen = new Map<string, number>();
    for (const [at, { model, candidates = [] }] of routes.entries()) {
      const before = seen.get(model);
      if (before !== undefined) {
        context.addIssue({ code: "custom", path: [at, "model"], message: `has a route already, routes[${before}]` });
      }
      seen.set(model, before ?? at);
      for (const [index, candidate] of candidates.entries()) {
        if (!candidate.model?.includes("*")) continue;
        const path = [at, "candidates", index, "model"];
        context.addIssue({ code: "custom", path, message: "must name one model: `*` has no meaning here" });
      }
    }
  })
  .describe("Rules for models: who may serve them, in which order, with which deadlines.");

export type RoutesConfig = z.output<typeof routesConfigSchema>;
export type RouteConfig = RoutesConfig[number];
