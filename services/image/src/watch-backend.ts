import { setTimeout as pause } from "node:timers/promises";
import { describeError, NexusError } from "nexus/base";
import type { ServiceContext } from "nexus/service-kit";
import type { BackendView, ImageBackend } from "./image-backend.ts";

export interface WatchOptions {
  readonly backend: ImageBackend;
  readonly context: Pick<ServiceContext, "check" | "changed" | "signal" | "log">;
  /** Told what the backend has whenever that is something new; undefined while it is away. */
  readonly onView: (view: BackendView | undefined) => void;
}

/** The check of `/readyz` that stands for the backend. */
const check = "backend";
/** Between two looks: often while it is away, for whoever starts it waits. */
const awayMs = 2_000;
const thereMs = 10_000;
/** ComfyUI answers within milliseconds, but not while Python loads a model. */
const lookMs = 15_000;

/** Looks at the backend until the service ends: the service is ready while it is there. Never throws. */
export async function watchBackend({ backend, context, onView }: WatchOptions): Promise<void> {
  const { signal, log } = context;
  let seen = "";
  while (!signal.aborted) {
    const view = await look(backend, signal);
    if (signal.aborted) return;
    const now = JSON.stringify(view instanceof NexusError ? view.message : view);
    if (now !== seen) {
      seen = now;
      if (view instanceof NexusError) {
        log.warn({ reason: describeError(view), detail: view.detail }, "the backend is away");
        onView(undefined);
        context.check(check, { status: "failed", reason: view.message });
      } else {
        onView(view);
        context.check(check, { status: "ok", reason: `${backend.title}: ${view.models.length} models` });
      }
      context.changed();
    }
    await pause(view instanceof NexusError ? awayMs : thereMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/** What it has, or why it cannot be used. */
async function look(backend: ImageBackend, signal: AbortSignal): Promise<BackendView | NexusError> {
  try {
    const view = await backend.look(AbortSignal.any([signal, AbortSignal.timeout(lookMs)]));
    if (view.models.length > 0) return view;
    return new NexusError("not_ready", `${backend.title} has no model that this service can use.`);
  } catch (error) {
    if (error instanceof NexusError && error.code === "not_ready") return error;
    const detail = { cause: error, detail: describeError(error) };
    if (error instanceof NexusError && error.code !== "backend_unreachable") {
      return new NexusError("not_ready", `${backend.title} answers, but not as it should: ${error.message}`, detail);
    }
    const isShape = error instanceof Error && error.name === "ZodError";
    const message = isShape
      ? `Something answers, but it is no ${backend.title} that this service knows.`
      : `${backend.title} does not answer. Start it, or say in NEXUS_IMAGE_URL where it is.`;
    return new NexusError("not_ready", message, detail);
  }
}
