import { closeNames } from "../base/close-names.ts";
import type { CompiledRoute } from "./compile-routes.ts";
import type { Rejection, RejectionReason, RoutePlan, RouteRequest, RoutingContext } from "./route-plan.ts";

/** A plan without candidates. */
export interface Failure {
  readonly request: RouteRequest;
  readonly context: RoutingContext;
  /** The model after the operator's aliases. */
  readonly model: string;
  readonly route: CompiledRoute | undefined;
  /** The models that may serve the route. */
  readonly candidateModels: readonly string[];
  readonly rejected: Iterable<Pick<Rejection, "reason" | "text">>;
}

/** Which error a request gets that can go nowhere, in words that say what to do. Names no instance and no rule. */
export function explainFailure(failure: Failure): NonNullable<RoutePlan["failure"]> {
  const texts = textsByReason(failure.rejected);
  if (texts.size === 0) return explainAbsence(failure);
  const { request } = failure;
  const model = `'${request.model}'`;
  const only = (...reasons: readonly RejectionReason[]) =>
    [...texts.keys()].every((reason) => reasons.includes(reason));
  const first = (reason: RejectionReason) => [...(texts.get(reason) ?? [])][0] ?? "";
  if (only("operation")) {
    return {
      code: "unsupported_feature",
      message: `The model ${model} does not offer ${request.operation.id}. GET /v1/models shows what each model is for.`,
    };
  }
  if (only("operation", "feature")) {
    return {
      code: "unsupported_feature",
      message: `No instance of ${model} can do what the request needs (${first("feature")}). GET /v1/models shows each model's features.`,
    };
  }
  if (only("operation", "feature", "key")) {
    return {
      code: "permission_denied",
      message: `This key may not use ${model}. GET /v1/models lists what it may use.`,
    };
  }
  if (only("operation", "feature", "key", "context")) {
    return {
      code: "context_length_exceeded",
      message: `The request is too long for ${model}: ${first("context")}. Shorten it, or take a model with a larger context window.`,
    };
  }
  if (only("operation", "feature", "key", "context", "paid")) {
    return {
      code: "permission_denied",
      message: `${model} is offered only by services that cost money, and no route says that they may be used.`,
    };
  }
  const public_ = [...texts].flatMap(([reason, said]) => (isRule(reason) ? [] : [...said]));
  const why =
    public_.length === 0 ? "its route leaves out all that there are" : [...new Set(public_)].slice(0, 3).join("; ");
  return {
    code: "no_instance_available",
    message: `No instance of ${model} works right now (${why}). Try again soon.`,
  };
}

/** What the operator decided is for the operator to read: in the log and in `nexus explain`. */
function isRule(reason: RejectionReason): boolean {
  return ["operation", "route", "residency", "paid", "key"].includes(reason);
}

/** Up to three texts for each reason: thousands of instances say the same. */
function textsByReason(rejected: Failure["rejected"]): ReadonlyMap<RejectionReason, ReadonlySet<string>> {
  const texts = new Map<RejectionReason, Set<string>>();
  for (const { reason, text } of rejected) {
    const known = texts.get(reason);
    if (known === undefined) texts.set(reason, new Set([text]));
    else if (known.size < 3) known.add(text);
  }
  return texts;
}

/** Nobody offers the model, nor one that its route names. */
function explainAbsence({
  request,
  context,
  model,
  route,
  candidateModels,
}: Failure): NonNullable<RoutePlan["failure"]> {
  const asked = request.model;
  if (candidateModels.some((name) => context.wasOffered(name))) {
    const message = `The service of '${asked}' is away: it may be restarting. Try again soon.`;
    return { code: "no_instance_available", message };
  }
  const { offers } = context.index;
  const via = model === asked ? "" : ` (an alias for '${model}')`;
  const absent = candidateModels.filter((name) => name !== model);
  if (route !== undefined && absent.length > 0) {
    const names = absent.map((name) => `'${name}'`).join(", ");
    return {
      code: "model_not_found",
      message: `Nothing serves '${asked}'${via}: its route leads to ${names}, and no service offers that.`,
    };
  }
  if (offers.size === 0) {
    const message = `There is no model '${asked}'${via}: no service has registered one yet. Start a service or run \`nexus attach URL\`.`;
    return { code: "model_not_found", message };
  }
  const { isAllowed = () => true } = request;
  const close = closeNames(model, offers.keys(), 10).filter(isAllowed).slice(0, 3);
  const hint =
    close.length === 0
      ? "GET /v1/models lists what there is."
      : `Close: ${close.map((name) => `'${name}'`).join(", ")}.`;
  return { code: "model_not_found", message: `There is no model '${asked}'${via}. ${hint}` };
}
