import type { z } from "zod";
import { operationById } from "../../src/contract/operations.ts";
import type { RegistrySnapshot } from "../../src/registry/registry.ts";
import { compileRoutes } from "../../src/routing/compile-routes.ts";
import { routesConfigSchema } from "../../src/routing/config.ts";
import { indexModels } from "../../src/routing/model-index.ts";
import { planRoute } from "../../src/routing/plan-route.ts";
import type { InstanceCondition, RoutePlan, RouteRequest, RoutingContext } from "../../src/routing/route-plan.ts";
import { makeRecord, makeSnapshot, type RecordOptions } from "./records.ts";

/** A fleet and a request, of which a test says what it cares about. */
export interface PlanSetting extends Partial<Pick<RoutingContext, "aliases" | "hosts" | "coldStartMsOf" | "waitMsOf">> {
  readonly records?: readonly RecordOptions[];
  readonly snapshot?: Partial<RegistrySnapshot>;
  readonly request?: Partial<RouteRequest>;
  readonly routes?: z.input<typeof routesConfigSchema>;
  /** A model that was there a moment ago. */
  readonly departed?: string;
  readonly conditions?: Readonly<Record<string, Partial<InstanceCondition>>>;
}

/** What `planRoute` is asked for a setting: a chat with the model `m`, if nothing else is said. */
export function planArguments(setting: PlanSetting): [RouteRequest, RoutingContext] {
  const { records = [{}], snapshot = {}, request = {}, routes, conditions = {}, departed, ...context } = setting;
  return [
    { operation: operationById("chat.completions.create"), model: "m", needs: {}, turn: 0, ...request },
    {
      index: indexModels(makeSnapshot(records.map(makeRecord), snapshot)),
      aliases: {},
      routes: routes && compileRoutes(routesConfigSchema.parse(routes)),
      wasOffered: (model) => model === departed,
      conditionOf: (key) => ({ unready: undefined, ejected: undefined, inFlight: 0, ...conditions[key] }),
      ...context,
    },
  ];
}

export function planOf(setting: PlanSetting): RoutePlan {
  return planRoute(...planArguments(setting));
}

/** Who may serve it, in order. */
export const candidateKeys = (setting: PlanSetting) => planOf(setting).candidates.map(({ key }) => key);

/** Why the others may not. */
export const rejectionReasons = (setting: PlanSetting) => planOf(setting).rejected.map(({ reason }) => reason);
