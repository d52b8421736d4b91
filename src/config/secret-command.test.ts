import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { systemClock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { identify, isAlive } from "../base/process-identity.ts";
import { SecretCommands } from "./secret-command.ts";
import { createSecretResolver } from "./secrets.ts";

const directory = mkdtempSync(join(tmpdir(), "nexus-commands-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const environment = { PATH: "/usr/bin:/bin", KEY: "sk-live-1" };

/** Resolves a command that the configuration has. */
function resolving(command: string, options: { clock?: FakeClock; timeoutMs?: number } = {}) {
  const { clock = systemClock, ...rest } = options;
  const resolve = createSecretResolver(
    environment,
    new SecretCommands({ allowed: [command], environment, clock, ...rest }),
  );
  return () => resolve(`command:${command}`);
}

async function complaint(asked: Promise<string>): Promise<string> {
  const error: unknown = await asked.catch((thrown: unknown) => thrown);
  assert.ok(error instanceof NexusError, "it was resolved");
  assert.equal(error.code, "invalid_request");
  for (const text of [error.message, error.detail ?? "", String(error.cause ?? "")])
    assert.ok(!text.includes("sk-live"));
  return error.message;
}

// proves: paid.key-by-command
describe("keys that a command prints", { timeout: 60_000 }, () => {
  it("are what a shell prints, with the environment of the platform", async () => {
    assert.equal(await resolving('printf "%s\\n" "$KEY" | tr 1 2')(), "sk-live-2");
  });

  it("are remembered for minutes, and asked for by one process at a time", async () => {
    const clock = new FakeClock();
    const count = join(directory, "count");
    const resolve = resolving(`printf x >> ${count}; echo key`, { clock });
    const runs = () => (existsSync(count) ? readFileSync(count, "utf8").length : 0);
    assert.deepEqual(await Promise.all([resolve(), resolve(), resolve()]), ["key", "key", "key"]);
    assert.equal(runs(), 1);
    await clock.tick(4 * 60_000);
    await resolve();
    assert.equal(runs(), 1);
    await clock.tick(2 * 60_000);
    await resolve();
    assert.equal(runs(), 2);
  });

  it("are not asked for again and again while the command fails", async () => {
    const clock = new FakeClock();
    const count = join(directory, "failures");
    const resolve = resolving(`printf x >> ${count}; echo "$KEY"; exit 3`, { clock });
    assert.match(await complaint(resolve()), /ends with code 3/);
    await complaint(resolve());
    assert.equal(readFileSync(count, "utf8"), "x");
    await clock.tick(11_000);
    await complaint(resolve());
    assert.equal(readFileSync(count, "utf8"), "xx");
  });

  it("are run only when the configuration has the command", async () => {
    const marker = join(directory, "never");
    const commands = new SecretCommands({ allowed: ["echo key"], environment, clock: systemClock });
    const reference = `command:touch ${marker}`;
    assert.match(await complaint(createSecretResolver(environment, commands)(reference)), /configuration file only/);
    assert.match(await complaint(createSecretResolver(environment)(reference)), /`nexus up` only/);
    assert.equal(existsSync(marker), false);
  });

  it("end with the command, however it ends", async () => {
    assert.match(await complaint(resolving("true")()), /is empty/);
    assert.match(await complaint(resolving('echo "$KEY"; echo "$KEY"')()), /one key on one line/);
    assert.match(await complaint(resolving('while :; do echo "$KEY"; done')()), /more than a key can be/);
    assert.match(await complaint(resolving("kill -9 $$")()), /ends with a signal/);
  });

  it("leave nothing behind of a command that hangs", async () => {
    const file = join(directory, "pid");
    const hanging = resolving(`sleep 60 & echo $! > ${file}; sleep 60`, { timeoutMs: 3_000 });
    assert.match(await complaint(hanging()), /does not end/);
    const pid = Number(readFileSync(file, "utf8"));
    // The signal was sent; it takes the kernel a moment.
    await waitFor("the end of what the shell had started", () => {
      const child = identify(pid);
      return child === undefined || !isAlive(child);
    });
  });
});
