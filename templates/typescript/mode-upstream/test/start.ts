import type { TestContext } from "node:test";
import { silentLogger } from "nexus/base";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createExample } from "../example/server.ts";
import { createService } from "../src/service.ts";
import { untilReady } from "./until-ready.ts";

/** Runs the service in front of the example for the length of one test, and says where. */
export async function start(t: TestContext): Promise<string> {
  const options = { ownsProcess: false, log: silentLogger };
  const example = await runService(createExample(), readServiceEnvironment({}), options);
  t.after(example.close);
  const service = await createService({ UPSTREAM_URL: example.url });
  const { url, close } = await runService(service, readServiceEnvironment({}), options);
  t.after(close);
  return await untilReady(t, url);
}
