import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { samplePicture, sampleSound } from "../../src/contract/conformance/samples.ts";
import { type TemplateDomain, templateDomains } from "../../src/scaffold/combination.ts";
import { needs } from "../support/needs.ts";
import { inTypeScript, type NewServiceLanguage, startNewService } from "../support/new-service.ts";
import type { TestPlatform } from "../support/platform.ts";
import { hasPython, makeTemplatePython } from "../support/python.ts";
import { makeData, startPlatformFor } from "../support/started-platform.ts";
import { waitFor } from "../support/wait-for.ts";

type Answer = Record<string, unknown> & { readonly id?: string };

/** How a domain is called through the gateway, and what of its answer shows that it was served. */
interface Call {
  readonly path: string;
  readonly fields: object;
  readonly mustBe: (answer: Buffer) => void;
}

const json = (check: (answer: Answer) => void) => (bytes: Buffer) => check(JSON.parse(bytes.toString()) as Answer);
const picture = `data:image/png;base64,${samplePicture().toString("base64")}`;
const has = (pattern: RegExp) => json((answer) => assert.match(JSON.stringify(answer), pattern));

const calls: Readonly<Record<TemplateDomain, Call>> = {
  chat: {
    path: "/v1/chat/completions",
    fields: { messages: [{ role: "user", content: "green grass" }], max_tokens: 3 },
    mustBe: has(/"content":"green grass green"/),
  },
  embedding: { path: "/v1/embeddings", fields: { input: "a cat" }, mustBe: has(/"embedding":\[[\d.,]{100}/) },
  image: {
    path: "/v1/images/generations",
    fields: { prompt: "a fox", size: "32x32" },
    mustBe: has(/"b64_json":"iVBORw/),
  },
  speech: {
    path: "/v1/audio/speech",
    fields: { input: "Hello.", voice: "default" },
    mustBe: (bytes) => assert.equal(bytes.toString("latin1", 0, 4), "RIFF"),
  },
  transcription: { path: "/v1/audio/transcriptions", fields: {}, mustBe: has(/^{"text":"0.5 seconds of sound\."}$/) },
  ocr: {
    path: "/v1/ocr",
    fields: { document: { type: "image_url", image_url: picture } },
    mustBe: has(/image\/png: 64 by 64 pixels/),
  },
  video: { path: "/v1/videos", fields: { prompt: "a fox", seconds: "4", size: "64x64" }, mustBe: has(/"id":"/) },
  music: { path: "/v1/music", fields: { prompt: "a tune", seconds: 4 }, mustBe: has(/"id":"/) },
  rerank: {
    path: "/v1/rerank",
    fields: { query: "capital of France", documents: ["Bread", "Paris, the capital of France"] },
    mustBe: json(({ results }) => assert.equal((results as { index: number }[])[0]?.index, 1)),
  },
  moderation: { path: "/v1/moderations", fields: { input: "an attack" }, mustBe: has(/"flagged":true/) },
  tool: {
    path: "/v1/tools/call",
    fields: { arguments: { text: "one two three" } },
    mustBe: json(({ structuredContent }) => assert.deepEqual(structuredContent, { words: 3, characters: 13 })),
  },
};

interface Created {
  readonly domain: TemplateDomain;
  readonly name: string;
  readonly end: () => void;
}

function clientOf({ url, key }: TestPlatform) {
  const headers = { authorization: `Bearer ${key}` };
  const get = async (path: string): Promise<Answer> => {
    const answer = await fetch(`${url}${path}`, { headers });
    assert.equal(answer.status, 200, path);
    return (await answer.json()) as Answer;
  };
  const post = async (path: string, fields: object): Promise<Buffer> => {
    const isForm = path.includes("transcriptions");
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
    form.append("file", sampleSound(), "sample.wav");
    const answer = await fetch(`${url}${path}`, {
      method: "POST",
      headers: isForm ? headers : { ...headers, "content-type": "application/json" },
      body: isForm ? form : JSON.stringify(fields),
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.equal(answer.status, 200, `${path}: ${bytes.toString("utf8", 0, 500)}`);
    return bytes;
  };
  return { url, headers, get, post };
}
type Client = ReturnType<typeof clientOf>;

interface Listed {
  readonly id: string;
  readonly nexus: { readonly domains: readonly string[]; readonly ready_instances: number };
}

async function listed({ get }: Client): Promise<readonly Listed[]> {
  const { data } = await get("/v1/models");
  return data as readonly Listed[];
}

/** Films and music are made beside their requests, and fetched when they are done. */
async function fetchJob({ url, headers, get }: Client, path: string, id: string): Promise<Buffer> {
  await waitFor(`${path}/${id} is made`, async () => (await get(`${path}/${id}`)).status === "completed");
  const answer = await fetch(`${url}${path}/${id}/content`, { headers });
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

/** What a console and a collector of metrics see of an instance. */
async function lookAt({ url, headers, get }: Client, instance: string, { domain, name }: Created): Promise<void> {
  const page = `/v1/nexus/instances/${name}/${instance}`;
  const descriptor = (await get(`${page}/descriptor`)) as unknown as {
    service: { name: string };
    response_types: Record<string, readonly string[]>;
    ui_navigation: { section: string; title: string };
  };
  assert.deepEqual([descriptor.ui_navigation.section, descriptor.ui_navigation.title], [domain, name]);
  assert.ok(Object.keys(descriptor.response_types).length > 0);
  const metrics = await (await fetch(`${url}${page}/metrics`, { headers })).text();
  const [work = ""] = Object.keys(descriptor.response_types);
  const counted = `nexus_service_requests_total{operation="${work}",status="200"} 1`;
  assert.ok(metrics.includes(counted), `${name} has counted its request`);
}

interface RegistryAnswer {
  readonly instances: readonly { readonly service: string; readonly instance: string }[];
}

/** Creates a service of every domain beside a platform that knows none, calls each through the gateway, and ends it. */
async function serveEveryDomain(t: TestContext, language: NewServiceLanguage): Promise<void> {
  const data = await makeData(t);
  const platform = await startPlatformFor(t, { data });
  const client = clientOf(platform);
  const environment = { NEXUS_CONTROL_URL: `unix:${join(data, "control.sock")}` };
  const services: Created[] = [];
  for (const domain of templateDomains) {
    services.push({ domain, ...(await startNewService(t, language, domain, environment)) });
  }

  await waitFor("every service is listed", async () => {
    const models = await listed(client);
    return services.every(({ name }) => models.some(({ id, nexus }) => id === name && nexus.ready_instances === 1));
  });
  for (const { name, domain } of services) {
    const model = (await listed(client)).find(({ id }) => id === name);
    assert.deepEqual(model?.nexus.domains, [domain]);
    const { path, fields, mustBe } = calls[domain];
    const answer = await client.post(path, { model: name, ...fields });
    mustBe(answer);
    if (domain !== "video" && domain !== "music") continue;
    const { id = "" } = JSON.parse(answer.toString()) as Answer;
    const made = await fetchJob(client, path, id);
    assert.match(made.toString("latin1", 0, 8), domain === "video" ? /^....ftyp/s : /^RIFF/);
  }

  const registry = (await client.get("/v1/nexus/registry")) as unknown as RegistryAnswer;
  for (const service of services) {
    const instance = registry.instances.find((one) => one.service === service.name);
    assert.ok(instance !== undefined, service.name);
    await lookAt(client, instance.instance, service);
  }
  const targets = (await client.get("/v1/nexus/targets")) as unknown as { labels: { service: string } }[];
  const measured = targets.map(({ labels }) => labels.service).sort();
  assert.deepEqual(measured, ["gateway", ...services.map(({ name }) => name)].sort());

  for (const { end } of services) end();
  await waitFor("they are gone", async () => (await listed(client)).length === 0);
  assert.equal(((await client.get("/v1/nexus/targets")) as unknown as unknown[]).length, 1);
}

const title = "a created service of every domain is served, listed, described and measured, and gone when it ends";

// proves: create.served
test(`${title}: in TypeScript`, { timeout: 120_000 }, async (t) => {
  await serveEveryDomain(t, inTypeScript);
});

// proves: create.served
test(`${title}: in Python`, {
  ...needs("Python 3.11 or newer with pip and its index", await hasPython(3, 11)),
  timeout: 400_000,
}, async (t) => {
  await serveEveryDomain(t, { template: "python", command: [await makeTemplatePython(), "service.py"] });
});
