import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { makeDirectory } from "../../test/support/command-line.ts";
import { makeRecord, makeSnapshot } from "../../test/support/records.ts";
import { systemClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import { createSecretResolver } from "../config/secrets.ts";
import { secretRoutes } from "../control/secret-routes.ts";
import { startControlServer } from "../control/server.ts";
import { openGatewaySecrets } from "./gateway-secrets.ts";

test("files and own variables are read here, others are asked for and remembered while the parent is away", async (t) => {
  const directory = await makeDirectory(t);
  const socketPath = join(directory, "data", "control.sock");
  const environment: Record<string, string> = { THEIRS: "theirs-1" };
  const snapshot = makeSnapshot([makeRecord({ secret: "env:THEIRS" })]);
  const view = { current: () => snapshot, onChange: () => () => {} };
  const routes = [secretRoutes(view, createSecretResolver(environment))];
  const server = await startControlServer({ socketPath, routes, log: silentLogger });
  const file = join(directory, "key");
  writeFileSync(file, "from-file\n");
  let now = 0;
  const clock = { ...systemClock, monotonic: () => now };
  const secrets = openGatewaySecrets({ environment: { OURS: "ours" }, controlUrl: `unix:${socketPath}`, clock });
  t.after(() => secrets.close());

  assert.equal(await secrets.resolve("env:OURS"), "ours");
  assert.equal(await secrets.resolve(`file:${file}`), "from-file");
  assert.equal(await secrets.resolve("env:THEIRS"), "theirs-1");
  environment.THEIRS = "theirs-2";
  assert.equal(await secrets.resolve("env:THEIRS"), "theirs-1", "remembered");
  now += 31_000;
  assert.equal(await secrets.resolve("env:THEIRS"), "theirs-2", "asked again");
  await assert.rejects(secrets.resolve("env:HOME"), { code: "not_found" });
  await server.close();
  now += 31_000;
  assert.equal(await secrets.resolve("env:THEIRS"), "theirs-2", "the parent is away");
  await assert.rejects(secrets.resolve("env:NEVER_SEEN"));
});

test("without a control process there is the own environment", async () => {
  const secrets = openGatewaySecrets({ environment: { A: "b" }, controlUrl: undefined, clock: new FakeClock() });
  assert.equal(await secrets.resolve("env:A"), "b");
  await assert.rejects(secrets.resolve("env:B"), { code: "invalid_request" });
  await secrets.close();
});
