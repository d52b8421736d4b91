import { connect } from "node:net";
import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Attacher } from "./attacher.ts";
import { serverIdentity } from "./target-url.ts";

export interface DiscoveryOptions {
  readonly attacher: Pick<Attacher, "isKnown" | "attachDiscovered">;
  readonly ports: readonly number[];
  readonly intervalMs: number;
  /** Base URLs of what the platform runs itself, or has registered: never looked at. */
  readonly ownUrls: () => Iterable<string>;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Discovery {
  /** Looks at once, then again and again. */
  start(): void;
  stop(): Promise<void>;
}

/** A stranger is asked again after this, or as soon as its port was closed in between. */
const strangerPauseMs = 300_000;
/** For a connection within this machine. */
const connectMs = 500;

/**
 * Finds model servers on the usual ports of this machine and attaches them for as long as they are there. Costs next to
 * nothing while there are none: a closed port refuses at once. What answers but is no model server is left alone for
 * five minutes.
 */
export function createDiscovery({ attacher, ports, intervalMs, ownUrls, clock, log }: DiscoveryOptions): Discovery {
  const strangers = new Map<number, number>();
  let isStopped = false;
  let cancelTimer = (): void => {};
  let looking: Promise<void> = Promise.resolve();

  const lookAt = async (port: number): Promise<void> => {
    const baseUrl = `http://127.0.0.1:${port}`;
    if (attacher.isKnown(baseUrl)) return;
    if (!(await isOpen(port))) {
      strangers.delete(port);
      return;
    }
    if (isStopped || clock.monotonic() < (strangers.get(port) ?? 0)) return;
    try {
      await attacher.attachDiscovered(baseUrl);
      strangers.delete(port);
    } catch (error) {
      const isNew = !strangers.has(port);
      strangers.set(port, clock.monotonic() + strangerPauseMs);
      const reason = error instanceof NexusError ? error.message : describeError(error);
      log[isNew ? "info" : "debug"]({ port, reason }, "something listens there that is no model server to attach");
    }
  };
  const look = async (): Promise<void> => {
    const own = new Set(Array.from(ownUrls(), serverIdentity));
    const wanted = [...new Set(ports)].filter((port) => !own.has(serverIdentity(`http://127.0.0.1:${port}`)));
    await Promise.all(wanted.map(lookAt));
    if (!isStopped) cancelTimer = clock.after(intervalMs, run);
  };
  const run = (): void => {
    looking = look();
  };
  return {
    start: run,
    async stop() {
      isStopped = true;
      cancelTimer();
      await looking;
    },
  };
}

/** Whether somebody listens on a port of 127.0.0.1. Never throws. */
function isOpen(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: "127.0.0.1", port });
  socket.setTimeout(connectMs, () => resolve(false));
  socket.on("connect", () => resolve(true));
  socket.on("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
