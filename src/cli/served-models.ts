import type { Domain } from "../contract/metadata.ts";
import { CliError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";
import { callHttp, type HttpTarget, readText } from "./http-client.ts";
import { errorFromAnswer, parseAnswer } from "./platform.ts";

/** A model as `/v1/models` shows it; another gateway than Nexus leaves the second part out. */
interface ListedModel {
  readonly id: string;
  readonly nexus?: {
    readonly domains: readonly string[];
    readonly state: "loaded" | "loading" | "available";
    readonly ready_instances: number;
    readonly rank: number;
    readonly alias_of?: string;
  };
}

/** Less is sooner: a model that answers at once, then one that has to be loaded, then one that nobody serves now. */
function waitOf({ nexus }: ListedModel): number {
  if (nexus === undefined) return 0;
  return (nexus.ready_instances > 0 ? 0 : 2) + (nexus.state === "loaded" ? 0 : 1);
}

/**
 * Ids of the models for a domain, those that answer at once first; of these, those that are for nothing else before the
 * others, and those that their service would rather use.
 * @throws CliError with the gateway's message.
 */
export async function listServedModels(
  gateway: HttpTarget,
  domain: Domain,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const answer = await callHttp(gateway, { method: "GET", path: "/v1/models", signal });
  const value = parseAnswer(await readText(answer.body));
  if (answer.status !== 200) throw errorFromAnswer(answer.status, value);
  const { data = [] } = value as { data?: readonly ListedModel[] };
  const others = ({ nexus }: ListedModel): number => (nexus?.domains.length ?? 1) - 1;
  const rank = ({ nexus }: ListedModel): number => nexus?.rank ?? 1;
  return data
    .filter(({ nexus }) => nexus === undefined || (nexus.alias_of === undefined && nexus.domains.includes(domain)))
    .toSorted((left, right) => waitOf(left) - waitOf(right) || others(left) - others(right) || rank(left) - rank(right))
    .map((model) => model.id);
}

/**
 * The model that is meant when none is named. `service` is the one of `builtin.services` that would have one.
 * @throws CliError when there is none yet.
 */
export async function firstServedModel(
  gateway: HttpTarget,
  { domain, service, signal }: { readonly domain: Domain; readonly service: string; readonly signal: AbortSignal },
): Promise<string> {
  const [first] = await listServedModels(gateway, domain, signal);
  if (first !== undefined) return first;
  throw new CliError(exitCodes.notReady, "no_model", `No model for ${domain} is there yet.`, {
    hint: `\`builtin: { services: { ${service}: {} } }\` in nexus.yaml runs a service that has one; \`nexus status\` says what is loading.`,
  });
}
