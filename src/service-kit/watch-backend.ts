import { setTimeout as pause } from "node:timers/promises";
import { describeError, NexusError } from "../base/errors.ts";
import type { ServiceContext } from "./service.ts";

/** A server, or a program, without which a service can do nothing. */
export interface WatchedBackend<V> {
  /** What users call it. */
  readonly title: string;
  /** What to do when it does not answer. */
  readonly hint: string;
  /**
   * Looks whether it is there, and what it has.
   * @throws NexusError `not_ready` whose message says what to do; anything else is put into words here.
   */
  look(signal: AbortSignal): Promise<V>;
}

export interface WatchOptions<V> {
  readonly backend: WatchedBackend<V>;
  readonly context: Pick<ServiceContext, "check" | "changed" | "signal" | "log">;
  /** Told what it has whenever that is something new; undefined while it is away. */
  readonly onView: (view: V | undefined) => void;
}

/** The check of `/readyz` that stands for the backend. */
const check = "backend";
/** Between two looks: often while it is away, for whoever starts it waits. */
const awayMs = 2_000;
const thereMs = 10_000;
/** Servers in Python answer within milliseconds, but not while they load a model. */
const lookMs = 15_000;

/**
 * Looks at a backend until the service ends: the service is ready while it is there, and says why when it is not.
 * To be started, and not waited for, in `start`. Never rejects.
 */
export async function watchBackend<V extends { readonly models: readonly string[] }>({
  backend,
  context,
  onView,
}: WatchOptions<V>): Promise<void> {
  const { signal, log } = context;
  let seen = "";
  context.check(check, { status: "pending", reason: `looking for ${backend.title}` });
  while (!signal.aborted) {
    const view = await look(backend, signal);
    if (signal.aborted) return;
    const isAway = view instanceof NexusError;
    const now = JSON.stringify(isAway ? view.message : view);
    if (now !== seen) {
      seen = now;
      onView(isAway ? undefined : view);
      if (isAway) log.warn({ reason: view.message, detail: view.detail }, "the backend is away");
      context.check(
        check,
        isAway
          ? { status: "failed", reason: view.message }
          : { status: "ok", reason: `${backend.title}: ${view.models.length} models` },
      );
      context.changed();
    }
    await pause(isAway ? awayMs : thereMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/** What it has, or why it cannot be used. */
async function look<V extends { readonly models: readonly string[] }>(
  { title, hint, look: see }: WatchedBackend<V>,
  signal: AbortSignal,
): Promise<V | NexusError> {
  try {
    const view = await see(AbortSignal.any([signal, AbortSignal.timeout(lookMs)]));
    if (view.models.length > 0) return view;
    return new NexusError("not_ready", `${title} has no model that this service can use.`);
  } catch (error) {
    if (error instanceof NexusError && error.code === "not_ready") return error;
    const more = { cause: error, detail: describeError(error) };
    if (error instanceof NexusError && error.code !== "backend_unreachable") {
      return new NexusError("not_ready", `${title} answers, but not as it should: ${error.message}`, more);
    }
    const isShape = error instanceof Error && error.name === "ZodError";
    const message = isShape
      ? `Something answers, but it is no ${title} that this service knows.`
      : `${title} does not answer. ${hint}`;
    return new NexusError("not_ready", message, more);
  }
}
