import { NexusError } from "nexus/base";
import { looksOf } from "./describe-picture.ts";
import type { ImageBackend } from "./image-backend.ts";
import type { Picture, Progress } from "./image-order.ts";
import type { ImageRequest } from "./image-request.ts";

interface StreamOptions {
  readonly kind: "image_generation" | "image_edit";
  readonly signal: AbortSignal;
}

/**
 * OpenAI's events of a picture: previews as far as they were asked for, and the picture at the end. In between an event
 * of ours, `.progress`, in percent, says how far it is, which clients of OpenAI's pass over.
 */
export async function* streamPictures(
  backend: ImageBackend,
  { order, partialImages }: ImageRequest,
  { kind, signal }: StreamOptions,
): AsyncGenerator<object> {
  const leaving = new AbortController();
  const news = createNews();
  const making = backend
    .make(order, { signal: AbortSignal.any([signal, leaving.signal]), onProgress: news.tell })
    .finally(news.end);
  // Nobody waits for it while events go out.
  making.catch(() => {});
  let previews = 0;
  let percent = -1;
  try {
    for await (const { fraction, preview } of news.heard) {
      const reached = Math.floor(fraction * 100);
      if (reached > percent) {
        percent = reached;
        yield { type: `${kind}.progress`, progress: percent };
      }
      // Spread over the whole way: the first preview that is due.
      if (preview !== undefined && previews < partialImages && fraction * (partialImages + 1) >= previews + 1) {
        yield { ...event(`${kind}.partial_image`, preview, order), partial_image_index: previews++ };
      }
    }
    const [picture] = await making;
    if (picture === undefined) throw new NexusError("backend_error", `${backend.title} made no picture.`);
    yield event(`${kind}.completed`, picture, order);
  } finally {
    leaving.abort(new NexusError("client_closed", "The client stopped listening."));
  }
}

function event(type: string, picture: Picture, order: ImageRequest["order"]): object {
  const createdAt = Math.floor(Date.now() / 1000);
  return { type, created_at: createdAt, b64_json: picture.bytes.toString("base64"), ...looksOf(picture, order) };
}

/** The newest progress, for whoever asks next: what nobody has asked for in time is replaced, so that nothing piles up. */
function createNews() {
  let newest: Progress | undefined;
  let isOver = false;
  let wake = (): void => {};
  return {
    tell(progress: Progress): void {
      // A preview is worth more than the progress that follows it.
      newest = { ...progress, preview: progress.preview ?? newest?.preview };
      wake();
    },
    end(): void {
      isOver = true;
      wake();
    },
    heard: (async function* () {
      for (;;) {
        const progress = newest;
        newest = undefined;
        if (progress !== undefined) yield progress;
        else if (isOver) return;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    })(),
  };
}
