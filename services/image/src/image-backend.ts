import type { ImageOrder, Picture, Progress } from "./image-order.ts";

/** What a backend has, when it is there. */
export interface BackendView {
  readonly version: string;
  /** Ids as clients ask for them, the one in use first where that is known. */
  readonly models: readonly string[];
}

export interface Making {
  /** May be called often. */
  readonly onProgress: (progress: Progress) => void;
  /** When it aborts, the backend has been told to stop by the time `make` rejects. */
  readonly signal: AbortSignal;
}

/** A server, or a program, that makes pictures. One file each; all of them behind one service. */
export interface ImageBackend {
  /** What users call it. */
  readonly title: string;
  readonly vendor: string;
  /** Programs that must be on this machine. */
  readonly runtimes: readonly string[];
  /** Whether it can change pictures that it is given. */
  readonly edits: boolean;
  /** Looks whether it is there. @throws NexusError whose message says what to do. */
  look(signal: AbortSignal): Promise<BackendView>;
  /** Makes `order.count` pictures. @throws NexusError; the signal's reason when it aborts. */
  make(order: ImageOrder, making: Making): Promise<readonly Picture[]>;
}
