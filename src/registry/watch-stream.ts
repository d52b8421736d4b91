import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Clock } from "../base/clock.ts";
import type { ControlClient } from "./control-client.ts";

/** A fleet at the registry's own limit, encoded, with room to spare. */
const eventCharactersMax = 256 * 1024 * 1024;

export interface WatchStreamOptions {
  readonly client: ControlClient;
  readonly path: string;
  readonly clock: Clock;
  /** The server says something every 5 s; after this much silence it is taken for dead. */
  readonly silenceMsMax: number;
  readonly signal: AbortSignal;
  readonly onEvent: (event: EventSourceMessage) => void;
}

/**
 * Reads one event stream until it ends. Never resolves: rejects with the reason why it ended, be that the end of the
 * stream, silence, `signal`, or what `onEvent` throws.
 */
export async function readWatchStream(options: WatchStreamOptions): Promise<never> {
  const { client, path, clock, silenceMsMax, signal, onEvent } = options;
  const silence = new AbortController();
  const isSilent = (): void => silence.abort(new Error(`nothing heard for ${silenceMsMax} ms`));
  let cancelTimer = clock.after(silenceMsMax, isSilent);
  try {
    const parser = createParser({
      maxBufferSize: eventCharactersMax,
      onEvent,
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") throw error;
      },
    });
    const utf8 = new TextDecoder();
    const body = await client.open(path, AbortSignal.any([signal, silence.signal]));
    for await (const chunk of body) {
      cancelTimer();
      cancelTimer = clock.after(silenceMsMax, isSilent);
      parser.feed(utf8.decode(chunk, { stream: true }));
    }
    throw new Error("the registry ended the watch");
  } finally {
    cancelTimer();
  }
}
