import { createServer } from "node:net";
import { join } from "node:path";
import type { Started } from "../processes.ts";
import { model } from "../wire.ts";

/** Where a gateway finds what it needs. */
export interface Place {
  /** A directory of its own, removed at the end. */
  readonly directory: string;
  readonly cores: readonly number[];
  readonly upstreamPort: number;
  readonly workers: number;
  readonly signal: AbortSignal;
}

/** A gateway that answers, and how to ask it. */
export interface RunningGateway {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Its name for the model. */
  readonly model: string;
  /** Undefined for the mock itself: there is no gateway whose cost could be measured. */
  readonly process: Started | undefined;
}

export interface PrepareOptions {
  readonly mayInstall: boolean;
  /** Nothing that takes longer than seconds. */
  readonly isQuick: boolean;
  readonly signal: AbortSignal;
}

/** One row of the comparison. */
export interface GatewayKind {
  readonly name: string;
  readonly title: string;
  /** What is switched on of what Nexus has on: key, limits, route, record, log line, metrics. */
  readonly features: string;
  /** Whether it can run more than one worker, and is asked to. */
  readonly hasWorkers: boolean;
  /** Installs it when `mayInstall`. Resolves to its version. @throws Error that says why it can't run here. */
  readonly prepare: (options: PrepareOptions) => Promise<string>;
  /** Starts it and resolves when it is ready. @throws Error that says why not. */
  readonly start: (place: Place) => Promise<RunningGateway>;
}

export const chatPath = "/v1/chat/completions";

/** What most gateways have in common. */
export const plain = { path: chatPath, headers: {}, model };

export function logFile(place: Place): string {
  return join(place.directory, "output.log");
}

/** A port that was free a moment ago: most gateways can't choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
