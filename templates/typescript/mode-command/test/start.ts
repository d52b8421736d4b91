import type { TestContext } from "node:test";
import { silentLogger } from "nexus/base";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createService } from "../src/service.ts";
import { untilReady } from "./until-ready.ts";

/** Runs the service on a free port for the length of one test, and says where. */
export async function start(t: TestContext): Promise<string> {
  const service = await createService(process.env);
  const options = { ownsProcess: false, log: silentLogger };
  const { url, close } = await runService(service, readServiceEnvironment({}), options);
  t.after(close);
  return await untilReady(t, url);
}
