import { writeSync } from "node:fs";
import { isatty } from "node:tty";

const stderr = 2;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/** Ten pictures a second look alive and cost nothing. */
const framePeriodMs = 100;
/** Without a terminal, a log that stays silent for longer looks stuck. */
const reminderPeriodMs = 30_000;

/**
 * Shows on stderr that something takes its time: a live line with the elapsed seconds on a terminal, plain lines
 * elsewhere. The returned function ends the stage; with `result` it leaves `result` and the time taken behind.
 * @param {string} label
 * @returns {(result?: string) => void}
 */
export function startStage(label) {
  const startedAt = performance.now();
  const seconds = () => Math.round((performance.now() - startedAt) / 1000);
  const isLive = isatty(stderr) && process.env.TERM !== "dumb";
  let frame = 0;
  const drawLive = () => print(`\r\x1b[K${frames[frame++ % frames.length]} ${label}  ${seconds()} s`);
  if (isLive) drawLive();
  else print(`nexus: ${label}\n`);
  const timer = setInterval(
    isLive ? drawLive : () => print(`nexus: still ${label}  ${seconds()} s\n`),
    isLive ? framePeriodMs : reminderPeriodMs,
  );
  return (result) => {
    clearInterval(timer);
    if (isLive) print("\r\x1b[K");
    if (result !== undefined) print(`${isLive ? "✓" : "nexus:"} ${result} in ${seconds()} s\n`);
  };
}

/**
 * Writes at once and leaves the stream objects alone: this process may soon become another one.
 * @param {string} text
 */
function print(text) {
  try {
    writeSync(stderr, text);
  } catch {
    // A terminal that is full or gone must not stop an installation.
  }
}
