import type { Work } from "nexus/service-kit";
import { mp4, pcmFrame } from "./film.ts";

const framesPerSecond = 2;
const side = 16;

/** A grey area that grows lighter. Put a model here. */
export const work: Work<"video"> = async ({ seconds, width, height }, { signal }) => {
  const size = { columns: Math.ceil(width / side), rows: Math.ceil(height / side) };
  const count = Math.max(1, Math.round(seconds * framesPerSecond));
  const frames: Buffer[] = [];
  while (frames.length < count) {
    signal.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
    frames.push(pcmFrame(size, 32 + Math.round((192 * frames.length) / count)));
  }
  return mp4(frames, size, framesPerSecond);
};
