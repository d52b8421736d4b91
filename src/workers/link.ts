/**
 * One end of a channel between the primary and one of its workers. Messages arrive whole, once and in order, until the
 * channel closes; what is sent after that goes nowhere.
 */
export interface Link<Out, In> {
  send(message: Out): void;
  onMessage(listener: (message: In) => void): void;
  /** The other process has gone, or is about to. */
  onClose(listener: () => void): void;
}

/** What a process's channel to its parent, or to a child, has in common. `process` and `ChildProcess` are such. */
export interface Channel {
  readonly connected: boolean;
  send?(message: unknown, callback?: (error: Error | null) => void): boolean;
  on(event: "message", listener: (message: unknown) => void): unknown;
  on(event: "disconnect", listener: () => void): unknown;
}

/**
 * A link over Node's channel between processes. What is said within one turn of the event loop goes out as one
 * message: under load many requests then share the cost of one.
 */
export function openLink<Out, In>(channel: Channel): Link<Out, In> {
  let waiting: Out[] = [];
  const flush = () => {
    const messages = waiting;
    waiting = [];
    // An error is told as a close, too; that is where it is dealt with.
    if (channel.connected) channel.send?.(messages, () => {});
  };
  return {
    send(message) {
      if (!channel.connected) return;
      if (waiting.push(message) === 1) setImmediate(flush);
    },
    onMessage(listener) {
      channel.on("message", (messages) => {
        for (const message of messages as readonly In[]) listener(message);
      });
    },
    onClose: (listener) => void channel.on("disconnect", listener),
  };
}
