import type { ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { RegistrySnapshot, RegistryView } from "../registry/registry.ts";
import { encodeChange, encodeSnapshot } from "../registry/wire.ts";

export interface SnapshotWatchersOptions {
  readonly view: RegistryView;
  readonly clock: Clock;
  /** Watchers at once. */
  readonly watchersMax: number;
}

/** A watcher hears something at least this often, so that it can tell a quiet registry from a dead one. */
const commentEveryMs = 5_000;
/** A watcher that has taken nothing for this long is dead. */
const stuckMsMax = 30_000;

interface Watcher {
  readonly response: ServerResponse;
  /** Whether it understands `change` events, or wants a whole snapshot each time. */
  readonly wantsChanges: boolean;
  sent: RegistrySnapshot | undefined;
  /** Since when its socket takes nothing more; undefined while it does. */
  fullSince: number | undefined;
}

/**
 * Everybody who watches the registry over HTTP. A slow watcher holds one event in memory and gets the newest state when
 * it has taken that; whatever lies between is never sent to it.
 */
export class SnapshotWatchers {
  readonly #options: SnapshotWatchersOptions;
  readonly #watchers = new Set<Watcher>();
  readonly #unsubscribe: () => void;
  #cancelTimer: (() => void) | undefined;
  /** The last event, because most watchers stand at the same place. */
  #encoded: { from: RegistrySnapshot | undefined; to: RegistrySnapshot; text: string } | undefined;

  constructor(options: SnapshotWatchersOptions) {
    this.#options = options;
    this.#unsubscribe = options.view.onChange((snapshot) => {
      for (const watcher of this.#watchers) this.#send(watcher, snapshot);
    });
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** @throws NexusError `rate_limit_exceeded` when there are too many. */
  checkRoom(): void {
    if (this.#watchers.size < this.#options.watchersMax) return;
    throw new NexusError("rate_limit_exceeded", `${this.#options.watchersMax} watchers are the limit.`, {
      retryAfterSeconds: 5,
    });
  }

  /** Streams to `response` until either side closes it. Its head must not have been sent. */
  add(response: ServerResponse, wantsChanges: boolean): void {
    const watcher: Watcher = { response, wantsChanges, sent: undefined, fullSince: undefined };
    this.#watchers.add(watcher);
    response.on("close", () => this.#watchers.delete(watcher));
    response.on("error", () => response.destroy());
    response.on("drain", () => {
      watcher.fullSince = undefined;
      this.#send(watcher, this.#options.view.current());
    });
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    this.#send(watcher, this.#options.view.current());
    this.#cancelTimer ??= this.#options.clock.after(commentEveryMs, () => this.#comment());
  }

  /** Ends every stream. */
  close(): void {
    this.#unsubscribe();
    this.#cancelTimer?.();
    for (const { response } of this.#watchers) {
      response.end();
      // Whoever does not read would keep the server from closing.
      if (response.writableNeedDrain) response.destroy();
    }
    this.#watchers.clear();
  }

  #send(watcher: Watcher, snapshot: RegistrySnapshot): void {
    if (watcher.fullSince !== undefined || watcher.sent === snapshot) return;
    const from = watcher.wantsChanges ? watcher.sent : undefined;
    watcher.sent = snapshot;
    this.#write(watcher, this.#encode(from, snapshot));
  }

  #write(watcher: Watcher, text: string): void {
    if (!watcher.response.write(text)) watcher.fullSince = this.#options.clock.monotonic();
  }

  #encode(from: RegistrySnapshot | undefined, to: RegistrySnapshot): string {
    if (this.#encoded === undefined || this.#encoded.from !== from || this.#encoded.to !== to) {
      const [event, json] = from === undefined ? ["snapshot", encodeSnapshot(to)] : ["change", encodeChange(from, to)];
      this.#encoded = { from, to, text: `event: ${event}\ndata: ${json.replaceAll("\n", "\ndata: ")}\n\n` };
    }
    return this.#encoded.text;
  }

  #comment(): void {
    const now = this.#options.clock.monotonic();
    for (const watcher of this.#watchers) {
      if (watcher.fullSince === undefined) this.#write(watcher, ":\n\n");
      else if (now - watcher.fullSince > stuckMsMax) watcher.response.destroy();
    }
    this.#cancelTimer =
      this.#watchers.size === 0 ? undefined : this.#options.clock.after(commentEveryMs, () => this.#comment());
  }
}
