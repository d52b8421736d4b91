import { isDeepStrictEqual } from "node:util";
import { healthSchema, readinessSchema } from "../health.ts";
import { descriptorSchema, metadataSchema, type ServiceMetadata } from "../metadata.ts";
import { type Operation, operations } from "../operations.ts";
import { modelListSchema } from "./answer-shapes.ts";
import { askJson, type Check, fail, mustBeJson, mustBeStatus, mustMatch, pass, skip, type Target } from "./check.ts";
import { prometheusProblem } from "./prometheus-text.ts";
import { readSlotsActive, slotsGauge } from "./work-gauge.ts";

/** What orchestrators and the gateway allow a liveness probe. */
export const healthMsMax = 100;

const byId: ReadonlyMap<string, Operation> = new Map(operations.map((operation) => [operation.id, operation]));

const healthRounds = 5;

/** How long `/health` takes, in milliseconds: the middle of five, as one pause of the machine decides nothing. */
export async function healthMs({ probe }: Target): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < healthRounds; round++) times.push((await probe.ask("/health")).durationMs);
  return Math.round(times.sort((a, b) => a - b)[Math.floor(healthRounds / 2)] ?? 0);
}

export const selfDescriptionChecks: readonly Check[] = [
  {
    id: "health.shape",
    title: "GET /health answers 200 with status, service, version and uptime",
    async run(target) {
      mustMatch(healthSchema, await askJson(target, "/health"), "/health");
      return pass();
    },
  },
  {
    id: "health.fast",
    title: `GET /health answers within ${healthMsMax} ms`,
    async run(target) {
      const middle = await healthMs(target);
      return middle < healthMsMax ? pass(`${middle} ms`) : fail(`${middle} ms, the median of 5`);
    },
  },
  {
    id: "readiness.shape",
    title: "GET /readyz answers 200 or 503 with state and checks",
    async run({ probe }) {
      const answer = await probe.ask("/readyz");
      if (answer.status !== 200 && answer.status !== 503) fail(`/readyz answered ${answer.status}`);
      const { state } = mustMatch(readinessSchema, mustBeJson(answer, "/readyz"), "/readyz");
      return pass(state);
    },
  },
  {
    id: "readiness.agrees",
    title: "The status of /readyz, `ready`, `state` and `checks` say the same",
    async run({ probe }) {
      const answer = await probe.ask("/readyz");
      const report = readinessSchema.safeParse(mustBeJson(answer, "/readyz")).data ?? skip("it is not in its shape");
      const isOk = answer.status === 200;
      if (isOk !== report.ready) fail(`status ${answer.status} with \`ready\`: ${report.ready}`);
      if (report.ready !== (report.state === "ready")) fail(`\`ready\`: ${report.ready} in state ${report.state}`);
      const open = Object.entries(report.checks).find(([, check]) => check.status !== "ok");
      if (report.ready && open !== undefined) fail(`ready although the check ${open[0]} is ${open[1].status}`);
      return pass();
    },
  },
  {
    id: "metadata.schema",
    title: "GET /v1/metadata follows the schema",
    async run(target) {
      const metadata = mustMatch(metadataSchema, await askJson(target, "/v1/metadata"), "/v1/metadata");
      return pass(`${metadata.service.name} ${metadata.service.version}, ${metadata.models.length} models`);
    },
  },
  {
    id: "metadata.identity",
    title: "The metadata and /health name one service and version",
    async run(target) {
      const { service } = await target.metadata();
      const health =
        healthSchema.safeParse(await askJson(target, "/health")).data ?? skip("/health is not in its shape");
      if (health.service !== service.name) fail(`/health says ${health.service}, the metadata ${service.name}`);
      if (health.version !== service.version) fail(`/health says ${health.version}, the metadata ${service.version}`);
      return pass();
    },
  },
  {
    id: "metadata.endpoints",
    title: "Endpoints are named once, and operations of the contract have its method and path",
    async run(target) {
      const problem = endpointProblem(await target.metadata());
      return problem === undefined ? pass() : fail(problem);
    },
  },
  {
    id: "metadata.endpoints-exist",
    title: "Every endpoint of the metadata answers under its path",
    async run(target) {
      const { endpoints } = await target.metadata();
      const askable = endpoints.filter(({ method, path }) => method === "POST" && !path.includes("{"));
      for (const { method, path } of askable) {
        // Broken on purpose: it is refused before any work is done.
        const { status } = await target.probe.ask(path, { method, body: "{" });
        if (status === 404 || status === 405 || status === 501) fail(`${method} ${path} answered ${status}`);
      }
      return pass();
    },
  },
  {
    id: "metadata.models",
    title: "Model ids are unique, and every model's domain is one of the service's and has an endpoint",
    async run(target) {
      const problem = modelProblem(await target.metadata());
      return problem === undefined ? pass() : fail(problem);
    },
  },
  {
    id: "descriptor.schema",
    title: "GET /v1/descriptor follows the schema",
    async run(target) {
      mustMatch(descriptorSchema, await askJson(target, "/v1/descriptor"), "/v1/descriptor");
      return pass();
    },
  },
  {
    id: "descriptor.superset",
    title: "The descriptor holds the metadata, and response types for each endpoint",
    async run(target) {
      const metadata = await target.metadata();
      const read = descriptorSchema.safeParse(await askJson(target, "/v1/descriptor"));
      const descriptor = read.data ?? skip("the descriptor is not in its shape");
      for (const key of ["service", "instance", "backend", "endpoints", "capabilities", "requires", "ui"] as const) {
        if (!isDeepStrictEqual(metadata[key], descriptor[key])) fail(`\`${key}\` is not that of the metadata`);
      }
      const bare = metadata.endpoints.find(({ operation_id: id }) => descriptor.response_types[id] === undefined);
      if (bare !== undefined) fail(`no response_types for ${bare.operation_id}`);
      return pass();
    },
  },
  {
    id: "models.list",
    title: "GET /v1/models lists the models of the metadata in OpenAI's shape",
    async run(target) {
      const { models } = await target.metadata();
      const list = mustMatch(modelListSchema, await askJson(target, "/v1/models"), "/v1/models");
      const listed = new Set(list.data.map(({ id }) => id));
      const missing = models.find(({ id }) => !listed.has(id));
      if (missing !== undefined) fail(`${missing.id} of the metadata is not listed`);
      const known = new Set(models.flatMap(({ id, aliases }) => [id, ...aliases]));
      const stranger = list.data.find(({ id }) => !known.has(id));
      if (stranger !== undefined) fail(`${stranger.id} is listed but not in the metadata`);
      return pass();
    },
  },
  {
    id: "models.retrieve",
    title: "GET /v1/models/{id} answers with that model",
    async run(target) {
      const [model] = (await target.metadata()).models;
      if (model === undefined) skip("the service has no model right now");
      const path = `/v1/models/${encodeURIComponent(model.id)}`;
      const entry = mustMatch(modelListSchema.shape.data.element, await askJson(target, path), path);
      return entry.id === model.id ? pass() : fail(`${path} answered with ${entry.id}`);
    },
  },
  {
    id: "metrics.format",
    title: "GET /metrics answers in Prometheus's text format",
    async run({ probe }) {
      const answer = await probe.ask("/metrics");
      mustBeStatus(answer, 200, "/metrics");
      const problem = prometheusProblem(answer.text);
      if (problem !== undefined) fail(problem);
      if (!/^(text\/plain|application\/openmetrics-text)/.test(answer.headers.get("content-type") ?? "")) {
        fail(`the content type is ${answer.headers.get("content-type") ?? "missing"}`);
      }
      return pass();
    },
  },
  {
    id: "metrics.slots-active",
    title: `GET /metrics has the gauge ${slotsGauge}: how many requests are worked on`,
    async run(target) {
      const active = await readSlotsActive(target);
      if (active === undefined) fail(`there is no ${slotsGauge}`);
      return Number.isInteger(active) && active >= 0 ? pass(`${active}`) : fail(`it says ${active}`);
    },
  },
];

function endpointProblem({ endpoints, capabilities }: ServiceMetadata): string | undefined {
  const seen = new Set<string>();
  for (const { operation_id: id, method, path, streaming } of endpoints) {
    if (seen.has(id)) return `${id} is listed twice`;
    seen.add(id);
    const operation = byId.get(id);
    if (streaming && !capabilities.streaming) return `${id} streams, \`capabilities.streaming\` says no`;
    if (operation === undefined) continue;
    if (operation.method !== method || operation.path !== path) {
      return `${id} is ${operation.method} ${operation.path}, not ${method} ${path}`;
    }
    if (streaming && !operation.streaming) return `${id} cannot stream`;
  }
  return undefined;
}

function modelProblem({ models, capabilities, endpoints }: ServiceMetadata): string | undefined {
  const seen = new Set<string>();
  const served = new Set(endpoints.map((endpoint) => endpoint.operation_id));
  for (const model of models) {
    for (const id of [model.id, ...model.aliases]) {
      if (seen.has(id)) return `${id} names two models`;
      seen.add(id);
    }
    for (const domain of model.domains) {
      if (!capabilities.domains.includes(domain)) {
        return `${model.id} is for ${domain}, \`capabilities.domains\` is without it`;
      }
      const wanted = operations.filter((operation) => operation.domains.some((one) => one === domain));
      if (wanted.length > 0 && !wanted.some((operation) => served.has(operation.id))) {
        return `${model.id} is for ${domain}, but no endpoint serves that`;
      }
    }
  }
  return undefined;
}
