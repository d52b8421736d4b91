import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { createDiscovery } from "../../src/attach/discovery.ts";
import { silentLogger } from "../../src/base/logger.ts";
import type { FakeBackend } from "../fakes/fake-backend.ts";
import { type AttachHarness, attachHarness } from "../support/attach.ts";
import { waitFor } from "../support/wait-for.ts";

const intervalMs = 15_000;

/** Discovery on the ports of these servers, started. */
function discover(
  test: TestContext,
  harness: AttachHarness,
  servers: readonly FakeBackend[],
  own: string[] = [],
): void {
  const discovery = createDiscovery({
    attacher: harness.attacher,
    ports: servers.map(({ port }) => port),
    intervalMs,
    ownUrls: () => own,
    clock: harness.clock,
    log: silentLogger,
  });
  discovery.start();
  test.after(() => discovery.stop());
}

const names = ({ attacher }: AttachHarness) => attacher.list().map(({ name }) => name);

describe("discovery", { timeout: 60_000 }, () => {
  // proves: attach.discovery, attach.lease
  it("attaches what appears and forgets what stays away, without writing it down", async (test) => {
    const harness = attachHarness(test);
    const { clock, registry, until } = harness;
    const ollama = await harness.backend("ollama");
    const later = await harness.backend("llama-cpp");
    await later.close();
    discover(test, harness, [ollama, later]);
    await until(() => names(harness).includes(`ollama-${ollama.port}`));
    assert.equal(harness.attacher.list()[0]?.source, "discovery");
    await harness.backend("llama-cpp", { port: later.port });
    await waitFor("the other one", async () => {
      await clock.tick(1_000);
      return registry.current().instances.size === 2;
    });
    const elsewhere = await harness.backend("vllm");
    await harness.attacher.attach({ url: elsewhere.url, name: "by-hand" });
    assert.doesNotMatch(readFileSync(harness.storePath, "utf8"), /ollama|llama-cpp/);
    await harness.attacher.detach("by-hand");
    await ollama.close();
    await waitFor("it is forgotten", async () => {
      await clock.tick(1_000);
      return names(harness).length === 1;
    });
    await until(() => registry.current().instances.size === 1);
    assert.deepEqual(names(harness), [`llama-cpp-${later.port}`]);
    assert.deepEqual([ollama.generations, ollama.loads], [0, 0]);
    assert.deepEqual((await harness.restart()).attacher.list(), []);
  });

  it("leaves alone what is the platform's own, what is attached, and what the operator detached", async (test) => {
    const harness = attachHarness(test);
    const { attacher, clock, until } = harness;
    const [own, byHand, unwanted] = [
      await harness.backend("vllm"),
      await harness.backend("vllm"),
      await harness.backend("vllm"),
    ];
    await attacher.attach({ url: byHand.url.replace("127.0.0.1", "localhost"), name: "by-hand" });
    discover(test, harness, [own, byHand, unwanted], [own.url]);
    const found = `vllm-${unwanted.port}`;
    await until(() => names(harness).includes(found));
    await attacher.detach(found);
    const asked = unwanted.requests.length;
    for (let round = 0; round < 3; round++) await clock.tick(intervalMs);
    assert.deepEqual(names(harness), ["by-hand"]);
    assert.equal(own.requests.length, 0);
    assert.equal(unwanted.requests.length, asked);

    const second = await harness.restart();
    discover(test, second, [unwanted]);
    for (let round = 0; round < 3; round++) await second.clock.tick(intervalMs);
    assert.deepEqual(names(second), ["by-hand"], "it is still unwanted after a restart");
    assert.equal((await second.attacher.attach({ url: unwanted.url })).source, "operator");
    assert.deepEqual(names(second), ["by-hand", found]);
    assert.match(readFileSync(harness.storePath, "utf8"), /"ignored": \[\]/);
    await second.attacher.detach("by-hand");
    await second.attacher.detach(found);
    assert.ok(
      [byHand, unwanted].every(({ url }) => second.attacher.isKnown(url)),
      "nor is it found again then",
    );
  });

  it("hands a server over to the operator who attaches it", async (test) => {
    const harness = attachHarness(test);
    const { attacher, registry, until } = harness;
    const server = await harness.backend("vllm");
    discover(test, harness, [server]);
    await until(() => registry.current().instances.size === 1);
    const attached = await attacher.attach({ url: server.url, name: "mine", labels: { zone: "a" } });
    assert.equal(attached.source, "operator");
    await until(() => [...registry.current().instances.keys()].join() === "vllm/mine");
    assert.deepEqual(names(harness), ["mine"]);
    assert.deepEqual(names(await harness.restart()), ["mine"]);
  });

  it("asks a stranger rarely, and again when somebody else has taken its place", async (test) => {
    const harness = attachHarness(test);
    const { clock, until } = harness;
    const stranger = await harness.backend("openai-compatible", { key: "sk-unknown" });
    const asked = () => stranger.requests.length;
    discover(test, harness, [stranger]);
    await until(() => asked() >= 8 && clock.pending === 1);
    const first = asked();
    for (let round = 0; round < 4; round++) {
      await clock.tick(intervalMs);
      await until(() => clock.pending === 1);
    }
    assert.equal(asked(), first);
    for (let round = 0; round < 17; round++) {
      await clock.tick(intervalMs);
      await until(() => clock.pending === 1);
    }
    assert.equal(asked(), 2 * first, "once more after five minutes");
    await stranger.close();
    await clock.tick(intervalMs);
    await until(() => clock.pending === 1);
    const server = await harness.backend("lm-studio", { port: stranger.port });
    await clock.tick(intervalMs);
    await until(() => names(harness).includes(`lm-studio-${server.port}`));
  });

  it("does not attach a gateway", async (test) => {
    const harness = attachHarness(test);
    const gateway = await harness.backend("nexus", { flags: ["gateway"] });
    discover(test, harness, [gateway]);
    await harness.until(() => gateway.requests.length > 0 && harness.clock.pending === 1);
    assert.deepEqual(names(harness), []);
  });
});
