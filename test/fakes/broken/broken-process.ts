import { setTimeout as pause } from "node:timers/promises";
import { silentLogger } from "../../../src/base/logger.ts";
import { writeFileAtomic } from "../../../src/base/write-file-atomic.ts";
import { readServiceEnvironment, runService } from "../../../src/service-kit/index.ts";
import { goodForms } from "../good-forms.ts";
import { goodRealtime } from "../good-realtime.ts";
import { goodService } from "../good-service.ts";
import { startBrokenService } from "./broken-service.ts";
import type { Fault } from "./fault.ts";
import { processFaults } from "./process-faults.ts";

// A service as a process of its own, with the fault that breaks the rule FAULT; without FAULT it is sound. It chats, or
// takes nothing but forms when OF=forms.

const { NEXUS_PORT, NEXUS_RUN_FILE, FAULT, OF } = process.env;
const sound: Fault = { breaks: "", defect: "", concerns: () => false };
const fault = processFaults.find(({ breaks, of }) => breaks === FAULT && of === (OF || undefined)) ?? sound;

const chatting = () =>
  goodService({
    models: () => [
      { id: "fake-chat", domains: ["chat"], context_window: 2048, state: "loaded" },
      { id: "fake-talk", domains: ["chat"], features: { realtime: true }, state: "loaded" },
    ],
    capabilities: { domains: ["chat"], streaming: true, max_concurrency: 4 },
    handlers: { ...goodService({}, () => pause(5)).handlers, "realtime.connect": goodRealtime() },
  });
const service = OF === "forms" ? goodForms(() => pause(500)) : chatting();
const running = await runService(service, readServiceEnvironment({}), { ownsProcess: false, log: silentLogger });
const broken = await startBrokenService(running.url, fault, Number(NEXUS_PORT ?? "0"));
if (NEXUS_RUN_FILE && fault.process !== "hides") {
  await writeFileAtomic(NEXUS_RUN_FILE, `${JSON.stringify({ pid: process.pid, url: broken.url })}\n`);
}
process.stdout.write(`${broken.url}\n`);

process.once("SIGTERM", async () => {
  if (fault.process === "cuts") broken.cut();
  await running.close();
  await broken.drain();
  process.exit(fault.process === "fails" ? 3 : 0);
});
