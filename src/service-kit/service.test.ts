import assert from "node:assert/strict";
import { test } from "node:test";
import { json } from "./response.ts";
import { defineService, type OwnEndpoint, type ServiceDefinition } from "./service.ts";

const handler = () => json({});
const good: ServiceDefinition = {
  name: "good",
  version: "1.0.0",
  backend: { name: "fake" },
  capabilities: { domains: ["chat"], max_concurrency: 1 },
  models: () => [],
  handlers: { "chat.completions.create": handler },
};
const own = (endpoint: Partial<OwnEndpoint>): ServiceDefinition => ({
  ...good,
  endpoints: [{ method: "POST", path: "/v1/own", operation_id: "own.create", handler, ...endpoint }],
});

const bad: readonly (readonly [what: string, definition: ServiceDefinition, message: RegExp])[] = [
  ["a name that is none", { ...good, name: "Good Service" }, /name: lower-case letters/],
  ["an empty version", { ...good, version: "" }, /version/],
  ["no slot", { ...good, capabilities: { domains: [], max_concurrency: 0 } }, /capabilities\.max_concurrency/],
  ["an unknown limit", { ...good, limits: { queMax: 1 } as object }, /limits.*queMax/],
  ["nothing to do", { ...good, handlers: {} }, /it serves nothing/],
  [
    "a handler of no operation",
    { ...good, handlers: { "chat.create": handler } as ServiceDefinition["handlers"] },
    /chat\.create is no operation/,
  ],
  ["an own endpoint with the id of an operation", own({ operation_id: "embeddings.create" }), /is taken/],
  [
    "two own endpoints with one id",
    { ...good, endpoints: [...(own({}).endpoints ?? []), ...(own({ path: "/v1/two" }).endpoints ?? [])] },
    /own\.create is taken/,
  ],
  ["an own endpoint in the kit's place", own({ path: "/readyz" }), /\/readyz belongs to the kit/],
  ["an own endpoint in the place of an operation", own({ path: "/v1/chat/completions" }), /belongs to the contract/],
  ["a path without a slash", own({ path: "v1/own" }), /endpoints\[0\]\.path/],
];

test("a good definition passes and cannot be changed afterwards", () => {
  const service = defineService(own({}));
  assert.throws(() => Object.assign(service, { name: "other" }), TypeError);
});

for (const [what, definition, message] of bad) {
  test(`${what} is refused before anything runs`, () => {
    assert.throws(() => defineService(definition), message);
  });
}
