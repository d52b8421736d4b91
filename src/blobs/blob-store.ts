import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import type { CatalogueEntry } from "./catalogue.ts";

/** A model file that is here, complete and verified: only such files have a name under `blobs/`. */
export interface Blob {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Where model files live, by content. */
export function blobsDirectory(directory: string): string {
  return join(directory, "blobs");
}

export function blobPath(directory: string, sha256: string): string {
  return join(blobsDirectory(directory), `sha256-${sha256}`);
}

/** The file of an entry if one of its sources has been fetched before, else undefined. */
export async function findBlob(directory: string, entry: CatalogueEntry): Promise<Blob | undefined> {
  for (const { sha256 } of entry.sources) {
    if (sha256 === undefined) continue;
    const path = blobPath(directory, sha256);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return { path, sha256, bytes: found.size };
  }
  return undefined;
}

/** SHA-256 of a file in hex. Calls `onBytes` with the bytes read so far. */
export async function hashFile(path: string, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<string> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) {
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
  }
  return hash.digest("hex");
}

/** How the files begin that models are kept in. */
const beginnings = [
  // llama.cpp's.
  Buffer.from("GGUF", "latin1"),
  // whisper.cpp's: "ggml" as a little-endian number.
  Buffer.from("lmgg", "latin1"),
  // ONNX: the first field of its protocol buffer, the version of the format.
  Buffer.from([0x08]),
];

/** Whether the file begins as a GGUF, ggml or ONNX file does. */
export async function isModelFile(path: string): Promise<boolean> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && beginnings.some((start) => buffer.subarray(0, start.length).equals(start));
  } finally {
    await file.close();
  }
}
