import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Attacher, type AttacherOptions, createAttacher } from "../../src/attach/attacher.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { createSecretResolver } from "../../src/config/secrets.ts";
import type { InstanceRecord } from "../../src/contract/instance-record.ts";
import { createEmbeddedRegistry, type EmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import { type FakeBackend, type FakeBackendOptions, type FakeKind, startFakeBackend } from "../fakes/fake-backend.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { waitFor } from "./wait-for.ts";

/** An attacher on an embedded registry, with time in the test's hand; ends with its test. */
export interface AttachHarness {
  readonly clock: FakeClock;
  readonly registry: EmbeddedRegistry;
  readonly attacher: Attacher;
  readonly storePath: string;
  /** The variables that `env:` references see. */
  readonly environment: Record<string, string>;
  backend(kind: FakeKind, options?: FakeBackendOptions): Promise<FakeBackend>;
  record(key: string): InstanceRecord | undefined;
  /** Resolves when `condition` holds; time on the clock stands still. */
  until(condition: () => boolean): Promise<void>;
  /** The same attachments in a new attacher, as after a restart of the process. */
  restart(options?: Partial<AttacherOptions>): Promise<AttachHarness>;
}

export function attachHarness(test: TestContext, options: Partial<AttacherOptions> = {}): AttachHarness {
  const directory = mkdtempSync(join(tmpdir(), "nexus-attach-"));
  test.after(() => rmSync(directory, { recursive: true, force: true }));
  return build(test, { storePath: join(directory, "attachments.json"), ...options });
}

function build(test: TestContext, options: Partial<AttacherOptions> & { storePath: string }): AttachHarness {
  const clock = new FakeClock();
  const environment: Record<string, string> = {};
  const registry = createEmbeddedRegistry({ clock, log: silentLogger });
  const attacher = createAttacher({
    registry,
    clock,
    log: silentLogger,
    resolveSecret: createSecretResolver(environment),
    hostId: "desk",
    random: () => 0.5,
    ...options,
  });
  attacher.start();
  test.after(async () => {
    await attacher.stop();
    await registry.close();
  });
  return {
    clock,
    registry,
    attacher,
    environment,
    storePath: options.storePath,
    async backend(kind, backendOptions) {
      const backend = await startFakeBackend(kind, backendOptions);
      test.after(() => backend.close());
      return backend;
    },
    record: (key) => registry.current().instances.get(key),
    async until(condition) {
      await waitFor(condition.toString(), condition);
    },
    async restart(changed = {}) {
      await attacher.stop();
      return build(test, { storePath: options.storePath, ...changed });
    },
  };
}
