import { open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ensureRoom, type FetchedFile, type FetchJob } from "./fetch-job.ts";
import type { FileSource } from "./model-source.ts";

const chunkBytes = 4 * 1024 * 1024;

/** Copies a local GGUF file, or the only one of a directory, into the work directory. Throws with the reason. */
export async function fetchFile(source: FileSource, job: FetchJob): Promise<FetchedFile> {
  const origin = await locate(source.path);
  const { size } = await stat(origin);
  await ensureRoom(job.work, size);
  const path = join(job.work, "copy.part");
  const [from, to] = [await open(origin, "r"), await open(path, "w", 0o600)];
  try {
    const chunk = Buffer.allocUnsafe(chunkBytes);
    for (let done = 0; ; ) {
      job.signal.throwIfAborted();
      const { bytesRead } = await from.read(chunk, 0, chunkBytes, done);
      if (bytesRead === 0) break;
      await to.write(chunk, 0, bytesRead, done);
      done += bytesRead;
      job.report("download", done, size);
    }
    await to.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await from.close();
    await to.close();
  }
  return { path, isResumed: false };
}

async function locate(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new Error("is not there");
  if (!found.isDirectory()) return path;
  const files = (await readdir(path)).filter((name) => name.endsWith(".gguf")).sort();
  const [only, ...others] = files;
  if (only === undefined) throw new Error("has no .gguf file in it");
  if (others.length > 0) throw new Error(`has several .gguf files in it: name one of ${files.slice(0, 5).join(", ")}`);
  return join(path, only);
}
