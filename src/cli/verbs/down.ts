import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { CliError } from "../cli-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform, type Platform } from "../platform.ts";
import type { Verb } from "../verb.ts";

/** How often it is looked whether the platform has gone. */
const lookMs = 100;
/** A platform drains for 30 s, and each of its processes may take its time after that. */
const patienceMs = 180_000;

/** `nexus down`: asks the platform to stop and waits; stops the processes of a dead one itself. */
export const down: Verb<DataFlag & JsonFlag, []> = async ({ context }, flags) => {
  const platform = findPlatform(context, flags);
  try {
    await platform.call({ method: "POST", path: "/v1/nexus/stop" });
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== "no_platform" || platform.paths === undefined) throw error;
    const stopped = await context.roles.stopOrphans({ paths: platform.paths, environment: context.environment });
    if (stopped.length === 0) throw error;
    return { json: { stopped }, text: [`Stopped what an earlier platform left: ${stopped.join(", ")}.`] };
  }
  await waitUntilGone(platform, context.interrupts.signal);
  const isSeen = platform.paths !== undefined;
  return {
    json: { stopped: ["platform"] },
    text: [isSeen ? "Nexus has stopped." : "Nexus is stopping; its gateway takes no more requests."],
  };
};

/** The lock goes last, so its end is the end of everything. Over the network, the gateway's silence has to do. */
async function waitUntilGone(platform: Platform, signal: AbortSignal): Promise<void> {
  const { paths } = platform;
  const isThere = async () => (paths === undefined ? await answers(platform) : existsSync(paths.lock));
  const until = performance.now() + patienceMs;
  while (await isThere()) {
    if (performance.now() > until) {
      throw new CliError(exitCodes.failed, "still_running", "The platform was told to stop and still runs.", {
        hint: "`nexus status` shows what is left; `nexus logs control` may say why.",
      });
    }
    await sleep(lookMs, undefined, { signal });
  }
}

async function answers(platform: Platform): Promise<boolean> {
  return platform.status().then(
    () => true,
    () => false,
  );
}
