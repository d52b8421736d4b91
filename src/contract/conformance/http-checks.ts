import type { ServiceMetadata } from "../metadata.ts";
import { type Operation, operations } from "../operations.ts";
import { announceBody } from "./announce-body.ts";
import { errorAnswerSchema } from "./answer-shapes.ts";
import {
  type Check,
  fail,
  modelFor,
  mustBeJson,
  mustBeStatus,
  mustMatch,
  type Outcome,
  pass,
  serves,
  skip,
  type Target,
} from "./check.ts";
import type { Answer, Asking } from "./probe.ts";
import { wrongRequests } from "./wrong-requests.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";

/** Expects an error with this status in OpenAI's shape, and with this code if one is given. */
async function mustRefuse(
  target: Target,
  path: string,
  asking: Asking,
  expected: { readonly status: number; readonly code?: string },
): Promise<Outcome> {
  const answer = await target.probe.ask(path, asking);
  mustBeError(answer, expected, `${asking.method ?? (asking.body === undefined ? "GET" : "POST")} ${path}`);
  return pass();
}

function mustBeError(answer: Answer, expected: { readonly status: number; readonly code?: string }, what: string) {
  mustBeStatus(answer, expected.status, what);
  const { error } = mustMatch(errorAnswerSchema, mustBeJson(answer, what), "the error body");
  if (expected.code !== undefined && error.code !== expected.code) {
    fail(`the error's code is ${JSON.stringify(error.code ?? null)} instead of ${JSON.stringify(expected.code)}`);
  }
}

/** Any operation of the contract that the service says it serves: they all refuse a wrong request alike. */
function anyOperation(metadata: ServiceMetadata): Operation {
  const served = operations.filter((one) => one.model === "body" && serves(metadata, one));
  return (
    served.find(({ body }) => body !== "multipart") ?? served[0] ?? skip("no operation is served that takes a model")
  );
}

async function readyOperation(target: Target): Promise<Operation> {
  await target.mustBeReady();
  return anyOperation(await target.metadata());
}

/** Expects that any operation refuses a request that is wrong in this way. */
async function mustRefuseAsWrong(target: Target, way: "unreadable" | "withoutModel"): Promise<Outcome> {
  const operation = await readyOperation(target);
  return await mustRefuse(target, operation.path, wrongRequests(operation)[way], { status: 400 });
}

export const httpChecks: readonly Check[] = [
  {
    id: "request-id.echoed",
    title: "A request id that the client sends comes back",
    async run({ probe }) {
      const sent = "conformance-check.1";
      const answer = await probe.ask("/v1/models", { headers: { "x-request-id": sent } });
      const got = answer.headers.get("x-request-id");
      return got === sent ? pass() : fail(`sent ${sent}, got ${got ?? "none"}`);
    },
  },
  {
    id: "request-id.made",
    title: "A request without an id gets one of its own, on errors too",
    async run({ probe }) {
      const first = (await probe.ask("/v1/models")).headers.get("x-request-id");
      const second = (await probe.ask("/v1/no-such-path")).headers.get("x-request-id");
      if (!first) fail("an answer has no x-request-id");
      if (!second) fail("an error answer has no x-request-id");
      return first === second ? fail("two requests got one id") : pass();
    },
  },
  {
    id: "trace.accepted",
    title: "A traceparent is accepted and continued, a broken one does no harm",
    async run({ probe }) {
      const header = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
      const answer = await probe.ask("/v1/models", { headers: header });
      mustBeStatus(answer, 200, "a request with a traceparent");
      const back = answer.headers.get("traceparent");
      if (back !== null && !back.includes(traceId)) fail(`the trace ${traceId} was not continued: ${back}`);
      const broken = await probe.ask("/v1/models", { headers: { traceparent: "00-broken" } });
      mustBeStatus(broken, 200, "a request with a broken traceparent");
      return pass();
    },
  },
  {
    id: "errors.unknown-path",
    title: "An unknown path is 404 in OpenAI's shape",
    run: (target) => mustRefuse(target, "/v1/no-such-path", {}, { status: 404 }),
  },
  {
    id: "errors.wrong-method",
    title: "A wrong method is 405 in OpenAI's shape",
    run: (target) => mustRefuse(target, "/v1/metadata", { method: "DELETE" }, { status: 405 }),
  },
  {
    id: "errors.invalid-json",
    title: "A body that is no JSON, or a form that breaks off, is 400 in OpenAI's shape",
    run: (target) => mustRefuseAsWrong(target, "unreadable"),
  },
  {
    id: "errors.missing-model",
    title: "A body without `model` is 400 in OpenAI's shape",
    run: (target) => mustRefuseAsWrong(target, "withoutModel"),
  },
  {
    id: "errors.unknown-model",
    title: "An unknown model is 404 `model_not_found`, whatever the operation",
    async run(target) {
      await readyOperation(target);
      const metadata = await target.metadata();
      for (const operation of operations.filter((one) => serves(metadata, one) && one.model === "body")) {
        const { unknownModel } = wrongRequests(operation);
        // Anthropic's errors have no code.
        const code = operation.id.startsWith("messages.") ? {} : { code: "model_not_found" };
        await mustRefuse(target, operation.path, unknownModel, { status: 404, ...code });
      }
      return pass();
    },
  },
  {
    id: "errors.bad-field",
    title: "A field of the wrong type is 400 in OpenAI's shape, not a failure of the server",
    async run(target) {
      const operation = await readyOperation(target);
      const { id } = modelFor(await target.metadata(), operation);
      return await mustRefuse(target, operation.path, wrongRequests(operation).badField(id), { status: 400 });
    },
  },
  {
    id: "errors.too-large",
    title: "A body announced as larger than any limit is 413 before it is sent",
    async run(target) {
      const operation = await readyOperation(target);
      const { contentType } = wrongRequests(operation);
      const seen = await announceBody(`${target.probe.baseUrl}${operation.path}`, contentType, target.probe);
      if (seen === undefined) fail("it was not refused: the service waits for it");
      mustBeError(seen, { status: 413 }, "a body of 1 TiB");
      return pass();
    },
  },
];
