import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse, stringify } from "yaml";
import { findProgram } from "../../src/base/find-program.ts";
import type { ServiceDescriptor } from "../../src/contract/metadata.ts";
import { keyRoles } from "../../src/keys/key-record.ts";
import { startFake } from "../fakes/fake-http-server.ts";
import { goodService } from "../fakes/good-service.ts";
import { nexus } from "../support/command-line.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { checkout, inTypeScript, startNewService } from "../support/new-service.ts";
import { startService } from "../support/running-service.ts";
import { makeData, startPlatformFor } from "../support/started-platform.ts";
import { waitFor } from "../support/wait-for.ts";

interface TargetGroup {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

async function openGateway(
  t: TestContext,
): Promise<TestGateway & { as(role: (typeof keyRoles)[number]): Promise<Ask> }> {
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  const as = async (role: (typeof keyRoles)[number]): Promise<Ask> => {
    const { key } = await gateway.keys.create({ name: role, role });
    const headers = { authorization: `Bearer ${key}` };
    return (path, method = "GET") => gateway.fetch(path, { method, headers });
  };
  return { ...gateway, as };
}
type Ask = (path: string, method?: string) => Promise<Response>;

/** Pages, and the roles besides `admin` that open them. */
const pages: readonly (readonly [method: string, path: string, role?: string])[] = [
  ["GET", "/v1/models", "user"],
  ["POST", "/v1/chat/completions", "user"],
  ["POST", "/v1/messages", "user"],
  ["POST", "/api/chat", "user"],
  ["GET", "/v1/files", "user"],
  ["GET", "/v1/nexus/requests", "user"],
  ["GET", "/metrics", "monitor"],
  ["GET", "/v1/nexus/targets", "monitor"],
  ["GET", "/v1/nexus/instances/chat/one/metrics", "monitor"],
  ["GET", "/v1/nexus/status", "monitor"],
  ["POST", "/v1/nexus/registry/instances", "service"],
  ["PUT", "/v1/nexus/registry/leases/some", "service"],
  ["DELETE", "/v1/nexus/registry/leases/some", "service"],
  ["GET", "/v1/nexus/registry"],
  ["GET", "/v1/nexus/keys"],
  ["POST", "/v1/nexus/keys"],
  ["POST", "/v1/nexus/drains"],
  ["POST", "/v1/nexus/stop"],
];

// proves: gateway.roles
test("a key opens what its role is for and nothing else", { timeout: 60_000 }, async (t) => {
  const gateway = await openGateway(t);
  for (const role of keyRoles) {
    const ask = await gateway.as(role);
    for (const [method, path, opener] of pages) {
      const { status } = await ask(path, method);
      const mayPass = role === "admin" || role === opener;
      assert.equal(status !== 403, mayPass, `${role}: ${method} ${path} answers ${status}`);
    }
  }
});

// proves: gateway.instance-pages
test("what can be measured is listed under the address that was asked, and read there", {
  timeout: 60_000,
}, async (t) => {
  const gateway = await openGateway(t);
  const service = await startService(goodService());
  t.after(() => service.close());
  const ollama = recordOf({ url: "http://127.0.0.1:1" }, { service: "other", dialect: "ollama" });
  gateway.view.set([recordOf(service, { service: "good" }), ollama]);
  const ask = await gateway.as("monitor");

  const groups = (await (await ask("/v1/nexus/targets")).json()) as TargetGroup[];
  assert.deepEqual(
    groups.map(({ labels }) => [labels.instance, labels.__metrics_path__]),
    [
      ["gateway/gateway-test", "/metrics"],
      ["good/one", "/v1/nexus/instances/good/one/metrics"],
    ],
  );
  for (const { targets, labels } of groups) {
    assert.deepEqual(targets, [new URL(gateway.url).host]);
    const page = await ask(labels.__metrics_path__ ?? "");
    assert.equal(page.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert.match(await page.text(), labels.service === "good" ? /^nexus_service_ready 1$/m : /^nexus_gateway_/m);
  }

  const own = (await (await ask("/v1/nexus/instances/good/one/descriptor")).json()) as ServiceDescriptor;
  assert.deepEqual(own, (await service.get("/v1/descriptor")).body);
  // A server that knows no descriptors is described by what it was attached with.
  const attached = (await (await ask("/v1/nexus/instances/other/one/descriptor")).json()) as ServiceDescriptor;
  assert.deepEqual(attached.ui_navigation.title, "other");
  assert.deepEqual(attached.response_types["embeddings.create"], ["application/json"]);
  for (const path of ["good/two/metrics", "good/one/health", "good/one/metrics/x", "good"])
    assert.equal((await ask(`/v1/nexus/instances/${path}`)).status, 404, path);
});

// proves: gateway.instance-pages
test("what an instance says is a page of text or refused, whatever it says", { timeout: 60_000 }, async (t) => {
  const gateway = await openGateway(t);
  const script = Buffer.from("<script>alert(1)</script>");
  const answers = new Map<string, object | number>([
    ["scripted", { type: "text/html", bytes: script }],
    ["huge", { type: "text/plain", bytes: Buffer.alloc(9 * 1024 * 1024, "#") }],
    ["broken", 500],
    ["moved", 302],
  ]);
  const backend = await startFake(t, ({ url }) => answers.get(url.pathname.split("/")[1] ?? ""));
  gateway.view.set([...answers.keys()].map((service) => recordOf({ url: `${backend.url}/${service}` }, { service })));
  const ask = await gateway.as("monitor");
  const scripted = await ask("/v1/nexus/instances/scripted/one/metrics");
  assert.match(scripted.headers.get("content-type") ?? "", /^text\/plain/);
  for (const service of ["huge", "broken", "moved"])
    assert.equal((await ask(`/v1/nexus/instances/${service}/one/metrics`)).status, 502, service);
  for (const service of answers.keys())
    assert.equal((await ask(`/v1/nexus/instances/${service}/one/descriptor`)).status, 502, service);
});

/** The configuration that comes with Nexus, for another gateway and impatient. */
async function configurePrometheus(directory: string, { url, key }: { url: string; key: string }): Promise<string> {
  await mkdir(directory, { recursive: true });
  const keyFile = join(directory, "nexus.key");
  await writeFile(keyFile, key);
  const text = await readFile(join(checkout, "deploy", "prometheus", "prometheus.yml"), "utf8");
  const config = parse(
    text
      .replaceAll("/etc/prometheus/nexus.key", keyFile)
      .replaceAll("http://127.0.0.1:8800", url)
      .replaceAll("15s", "1s"),
  ) as object;
  await writeFile(join(directory, "prometheus.yml"), stringify(config));
  return join(directory, "prometheus.yml");
}

/** A real Prometheus on a free port. Resolves with a function that asks it for the values of an expression. */
async function startPrometheus(t: TestContext, directory: string, config: string) {
  const flags = [`--config.file=${config}`, `--storage.tsdb.path=${join(directory, "tsdb")}`];
  const child = spawn("prometheus", [...flags, "--web.listen-address=127.0.0.1:0"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  let printed = "";
  child.stderr.on("data", (chunk) => (printed += String(chunk)));
  const listening = /address=(127\.0\.0\.1:[1-9]\d*)/;
  const address = await waitFor("Prometheus listens", () => listening.exec(printed)?.[1]);
  await waitFor("it is ready", async () => (await fetch(`http://${address}/-/ready`)).ok);
  return async (query: string): Promise<readonly { metric: Record<string, string>; value: number }[]> => {
    const answer = await fetch(`http://${address}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { data } = (await answer.json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] };
    };
    return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  };
}

// proves: gateway.measured-fleet, gateway.roles
test("Prometheus measures a service from the moment it registers, through the gateway, until it is gone", {
  ...needs("prometheus", findProgram("prometheus", { path: process.env.PATH ?? "" }) !== undefined),
  timeout: 120_000,
}, async (t) => {
  const data = await makeData(t);
  const { url } = await startPlatformFor(t, { data });
  const createKey = async (role: string): Promise<string> => {
    const made = await nexus(["keys", "create", role, "--role", role, "--json", "--data", data]);
    return (JSON.parse(made.stdout) as { key: string }).key;
  };
  const directory = join(data, "..", "prometheus");
  const config = await configurePrometheus(directory, { url, key: await createKey("monitor") });
  const ask = await startPrometheus(t, directory, config);
  await waitFor("the gateway is measured", async () => (await ask('up{service="gateway"} == 1')).length === 1);
  assert.equal((await ask("up")).length, 1);

  // From afar, as a service on another host would, with a key that is good for nothing else.
  const registering = { NEXUS_CONTROL_URL: url, NEXUS_CONTROL_KEY: await createKey("service") };
  const { name, end } = await startNewService(t, inTypeScript, "embedding", registering);
  const [ready] = await waitFor("the service is measured", async () => {
    const found = await ask(`nexus_service_ready{service="${name}"} == 1`);
    return found.length === 1 && found;
  });
  assert.match(ready?.metric.instance ?? "", new RegExp(`^${name}/`));
  assert.ok((ready?.metric.host ?? "").length > 0);

  end();
  await waitFor("the service is forgotten", async () => (await ask("up")).length === 1);
  assert.deepEqual(await ask("up == 0"), []);
});
