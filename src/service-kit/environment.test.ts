import assert from "node:assert/strict";
import { test } from "node:test";
import { nameSchema } from "../contract/metadata.ts";
import { newInstanceName, readServiceEnvironment } from "./environment.ts";

test("with nothing set a service listens on loopback, on a free port, and registers nowhere", () => {
  const environment = readServiceEnvironment({ NEXUS_INSTANCE: "" });
  assert.ok(nameSchema.safeParse(environment.hostId).success);
  assert.deepEqual(
    { ...environment, hostId: "" },
    {
      host: "127.0.0.1",
      port: 0,
      service: undefined,
      instance: undefined,
      hostId: "",
      baseUrl: undefined,
      controlUrl: undefined,
      controlKey: undefined,
      logLevel: "info",
      dataDirectory: undefined,
      runFile: undefined,
    },
  );
});

test("every variable arrives where it belongs", () => {
  const environment = readServiceEnvironment({
    NEXUS_HOST: "0.0.0.0",
    NEXUS_PORT: "8123",
    NEXUS_SERVICE: "llm",
    NEXUS_INSTANCE: "llm-a",
    NEXUS_HOST_ID: "box",
    NEXUS_BASE_URL: "http://10.0.0.2:8123/",
    NEXUS_CONTROL_URL: "unix:/run/nexus/control.sock",
    NEXUS_CONTROL_KEY: "k",
    NEXUS_LOG_LEVEL: "debug",
    NEXUS_DATA: "/data",
    NEXUS_RUN_FILE: "/data/run/llm.json",
  });
  assert.deepEqual(environment, {
    host: "0.0.0.0",
    port: 8123,
    service: "llm",
    instance: "llm-a",
    hostId: "box",
    baseUrl: "http://10.0.0.2:8123",
    controlUrl: "unix:/run/nexus/control.sock",
    controlKey: "k",
    logLevel: "debug",
    dataDirectory: "/data",
    runFile: "/data/run/llm.json",
  });
});

const wrong: readonly (readonly [name: string, value: string])[] = [
  ["NEXUS_PORT", "80a"],
  ["NEXUS_PORT", "65536"],
  ["NEXUS_PORT", "-1"],
  ["NEXUS_SERVICE", "My Service"],
  ["NEXUS_INSTANCE", "../../etc"],
  ["NEXUS_HOST_ID", "a b"],
  ["NEXUS_BASE_URL", "10.0.0.2:8123"],
  ["NEXUS_CONTROL_URL", "ftp://control"],
  ["NEXUS_LOG_LEVEL", "loud"],
];

for (const [name, value] of wrong) {
  test(`${name}=${value} is refused by its name`, () => {
    assert.throws(() => readServiceEnvironment({ [name]: value }), new RegExp(`^NexusError: ${name} `));
  });
}

test("who listens on every address and registers has to say which one others use", () => {
  const everywhere = { NEXUS_HOST: "0.0.0.0", NEXUS_CONTROL_URL: "http://10.0.0.1:8800" };
  assert.throws(() => readServiceEnvironment(everywhere), /NEXUS_BASE_URL/);
  assert.ok(readServiceEnvironment({ ...everywhere, NEXUS_CONTROL_URL: "" }));
});

test("made-up names are names, whatever the service is called", () => {
  for (const service of ["llm", "a".repeat(63)]) {
    assert.ok(nameSchema.safeParse(newInstanceName(service)).success);
  }
  assert.notEqual(newInstanceName("llm"), newInstanceName("llm"));
});
