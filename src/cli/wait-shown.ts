import { formatDuration, type Terminal } from "./terminal.ts";

const beatMs = 1_000;

/** Waits, and shows on a terminal for how long already. `line` gets the time in words. */
export async function waitShown<T>(terminal: Terminal, line: (time: string) => string, work: Promise<T>): Promise<T> {
  const area = terminal.live();
  const since = performance.now();
  const show = (): void => area.update([line(formatDuration((performance.now() - since) / 1_000))]);
  show();
  const timer = setInterval(show, beatMs);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    area.clear();
  }
}
