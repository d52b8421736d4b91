import { NexusError } from "nexus/base";
import type { Work } from "nexus/service-kit";

/** Says how long a WAV file is and how loud. Put a model here. */
export const work: Work<"transcription"> = ({ sound }) => {
  const bytes = Buffer.from(sound);
  if (bytes.toString("latin1", 0, 4) !== "RIFF" || bytes.length < 46) {
    throw new NexusError("invalid_request", "`file` must be a WAV file.", { param: "file" });
  }
  const bytesPerSecond = bytes.readUInt32LE(28);
  const duration = (bytes.length - 44) / bytesPerSecond;
  let loudest = 0;
  for (let at = 44; at + 2 <= bytes.length; at += 2) loudest = Math.max(loudest, Math.abs(bytes.readInt16LE(at)));
  const text = `${duration.toFixed(1)} seconds of ${loudest < 100 ? "silence" : "sound"}.`;
  return { text, language: "en", duration, segments: [{ start: 0, end: duration, text }] };
};
