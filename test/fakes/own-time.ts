const stepMs = 20;

/**
 * Runs `run` after so many milliseconds of this process's own time: while others have the processor, and it hears of
 * nothing, at most one step of it passes. Returns what cancels it.
 */
export function afterOwnTime(delayMs: number, run: () => void): () => void {
  let leftMs = delayMs;
  const timer = setInterval(() => {
    leftMs -= stepMs;
    if (leftMs > 0) return;
    clearInterval(timer);
    run();
  }, stepMs);
  return () => clearInterval(timer);
}
