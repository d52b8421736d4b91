import { describeError } from "nexus/base";
import type { EngineJob, EngineMessage } from "./engine-messages.ts";
import { openEspeak } from "./open-espeak.ts";
import { openPiper } from "./open-piper.ts";
import { type Speaker, UnknownVoiceError } from "./speaker.ts";

/**
 * The entry of an engine: a process of its own, because nothing else ends WebAssembly in the middle of a sentence, and
 * because eSpeak NG, which both kinds use, is under the GPL: Nexus speaks to it and is not linked with it.
 */

let speaker: Speaker | undefined;

const say = (message: EngineMessage): void => void process.send?.(message);

process.on("message", (job: EngineJob) => {
  run(job).then(say, (error: unknown) =>
    say({ kind: "failed", isVoiceUnknown: error instanceof UnknownVoiceError, message: describeError(error) }),
  );
});
// The service is gone: so is its engine.
process.on("disconnect", () => process.exit(0));

async function run(job: EngineJob): Promise<EngineMessage> {
  if (job.kind === "open") {
    speaker = job.voice === null ? await openEspeak() : await openPiper(job.voice);
    return { kind: "opened", sampleRate: speaker.sampleRate };
  }
  if (speaker === undefined) throw new RangeError("a text came before a voice");
  return { kind: "sound", samples: speaker.speak(job) };
}
