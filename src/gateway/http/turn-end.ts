/** Has something to hand to the system. */
export interface Flushable {
  flush(): void;
}

let waiting: Flushable[] = [];

/**
 * Flushes at the end of this turn of the event loop, after all that has arrived was read. What is written then leaves
 * together: pieces of one connection in one write, and the writes of all connections one after the other, so that
 * whoever reads them is woken once and not for each one. Under load this halves the cost of a request.
 */
export function flushAtTurnEnd(target: Flushable): void {
  if (waiting.push(target) === 1) setImmediate(flushAll);
}

function flushAll(): void {
  const targets = waiting;
  waiting = [];
  for (const target of targets) target.flush();
}
