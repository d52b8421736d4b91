/** The end of a platform: asked for once, whoever asks first. */
export interface Life {
  isStopping(): boolean;
  /** What `stop` has to do. */
  onStop(run: () => Promise<void>): void;
  /** Resolves when everything has stopped. */
  stop(): Promise<void>;
  readonly stopped: Promise<void>;
}

export function trackLife(): Life {
  const stopped = Promise.withResolvers<void>();
  // Whoever waits for it is told; nobody has to wait.
  stopped.promise.catch(() => {});
  let undo = async (): Promise<void> => {};
  let isStopping = false;
  return {
    stopped: stopped.promise,
    isStopping: () => isStopping,
    onStop(run) {
      undo = run;
    },
    stop() {
      if (!isStopping) {
        isStopping = true;
        undo().then(stopped.resolve, stopped.reject);
      }
      return stopped.promise;
    },
  };
}
