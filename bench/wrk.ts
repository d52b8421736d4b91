import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./processes.ts";

export interface ClosedLoop {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
}

export interface LoadSample {
  readonly requests: number;
  readonly seconds: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

/** wrk hands these to the script; latencies are in microseconds. Status errors are answers above 399. */
const report = `
done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\nRESULT {"requests":%d,"seconds":%.6f,"p50":%.1f,"p99":%.1f,"errors":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), failed))
end
`;

/**
 * Runs Debian's wrk: each connection sends its next request when its last one was answered. It costs an eighth of what
 * a load generator on Node would, which matters where it shares its core with the mock.
 */
export async function runWrk(
  loop: ClosedLoop,
  place: { directory: string; cores: readonly number[]; signal: AbortSignal },
): Promise<LoadSample> {
  const script = join(place.directory, "load.lua");
  const body = join(place.directory, "load.json");
  writeFileSync(body, loop.body);
  const headers = { "content-type": "application/json", ...loop.headers };
  const lines = Object.entries(headers).map(([name, value]) => `wrk.headers[${lua(name)}] = ${lua(value)}`);
  const load = `wrk.method = "POST"\nlocal file = io.open(${lua(body)}, "rb")\nwrk.body = file:read("*a")\nfile:close()\n`;
  writeFileSync(script, load + lines.join("\n") + report);
  const output = await run(
    [
      "wrk",
      "--threads=1",
      `--connections=${loop.connections}`,
      `--duration=${Math.max(1, Math.round(loop.seconds))}s`,
      "--timeout=10s",
      `--script=${script}`,
      `http://127.0.0.1:${loop.port}${loop.path}`,
    ],
    { cores: place.cores, timeoutMs: (loop.seconds + 30) * 1_000, signal: place.signal },
  );
  const line = /^RESULT (.*)$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`wrk said nothing that can be read: ${output.slice(-300)}`);
  return JSON.parse(line) as LoadSample;
}

/** JSON's strings are Lua's, but for `\\/` and `\\u`, which JSON.stringify doesn't write for ASCII. */
function lua(text: string): string {
  return JSON.stringify(text);
}
