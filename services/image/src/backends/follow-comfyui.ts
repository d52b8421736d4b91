import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { Progress } from "../image-order.ts";
import { toPicture } from "../to-picture.ts";

/** What ComfyUI tells over its WebSocket of one prompt: progress and previews. Losing it costs these, and nothing else. */
export interface Follower {
  /** Resolves once the WebSocket is open, or cannot be opened. */
  opened(): Promise<void>;
  /** Names the prompt that is followed. */
  expect(promptId: string): void;
  /** Resolves when the prompt may be over, or after `ms`. */
  news(ms: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface FollowOptions {
  readonly baseUrl: string;
  readonly key: string | undefined;
  readonly clientId: string;
  readonly onProgress: (progress: Progress) => void;
}

const messageSchema = z.looseObject({
  type: z.string(),
  data: z.looseObject({
    prompt_id: z.string().optional(),
    node: z.unknown().optional(),
    value: z.number().optional(),
    max: z.number().optional(),
  }),
});
const lastWords = new Set(["execution_success", "execution_error", "execution_interrupted"]);
const openMs = 3_000;
/** Binary messages: four bytes of kind, four of the picture's format, then the picture. */
const previewKind = 1;
const previewHeadBytes = 8;

export function followComfyUi({ baseUrl, clientId, onProgress }: FollowOptions): Follower {
  const socket = new WebSocket(`${baseUrl.replace(/^http/, "ws")}/ws?clientId=${clientId}`);
  socket.binaryType = "arraybuffer";
  const opened = new Promise<void>((resolve) => {
    for (const event of ["open", "error", "close"] as const) socket.addEventListener(event, () => resolve());
  });
  let promptId: string | undefined;
  let fraction = 0;
  let wake = (): void => {};
  const onText = (text: string): void => {
    const result = messageSchema.safeParse(parse(text));
    if (!result.success || promptId === undefined) return;
    const { type, data } = result.data;
    // Older versions say progress without naming the prompt: this client has only one.
    if ((data.prompt_id ?? promptId) !== promptId) return;
    if (type === "progress" && data.value !== undefined && data.max !== undefined && data.max > 0) {
      fraction = Math.min(1, data.value / data.max);
      onProgress({ fraction, preview: undefined });
    }
    if (lastWords.has(type) || (type === "executing" && data.node === null)) wake();
  };
  socket.addEventListener("message", ({ data }: { data: unknown }) => {
    if (typeof data === "string") return onText(data);
    if (!(data instanceof ArrayBuffer) || data.byteLength < previewHeadBytes) return;
    const message = Buffer.from(data);
    const preview = message.readUInt32BE(0) === previewKind ? toPicture(message.subarray(previewHeadBytes)) : undefined;
    if (preview !== undefined) onProgress({ fraction, preview });
  });
  return {
    opened: () => Promise.race([opened, pause(openMs, undefined, { ref: false })]),
    expect(id) {
      promptId = id;
    },
    async news(ms, signal) {
      const ended = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([ended, pause(ms, undefined, { signal }).catch(() => signal.throwIfAborted())]);
    },
    close: () => socket.close(),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
