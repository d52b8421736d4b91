import type { ClientRequest } from "./client-io.ts";

/** A part of something of known size, as offsets of its first and its last byte. */
export interface BytePart {
  readonly start: number;
  readonly end: number;
}

/** What a client is to get of something: all of it, a part, or nothing, as it ends before the part begins. */
export type WantedBytes = BytePart | "whole" | "beyond";

/**
 * Reads `Range` as RFC 9110 has it. What is no single range of bytes asks for the whole: a server may ignore a range, and
 * nobody's player asks for several at once.
 */
export function wantedBytes(range: string | undefined, size: number): WantedBytes {
  const [, first = "", last = ""] = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(range ?? "") ?? [];
  if (first === "" && last === "") return "whole";
  if (first === "") return Number(last) === 0 ? "beyond" : partOf(Math.max(0, size - Number(last)), size - 1, size);
  if (last !== "" && Number(last) < Number(first)) return "whole";
  return partOf(Number(first), last === "" ? size - 1 : Number(last), size);
}

function partOf(start: number, end: number, size: number): WantedBytes {
  return start < size ? { start, end: Math.min(end, size - 1) } : "beyond";
}

/**
 * The range that a request asks for; undefined for none, and for one of something else than what `etag` stands for now.
 * Ranges mean something to GET alone.
 */
export function rangeOf(
  request: Pick<ClientRequest, "method" | "header">,
  etag: string | undefined,
): string | undefined {
  if (request.method !== "GET") return undefined;
  const condition = request.header("if-range");
  // A weak tag, or a date, does not say that bytes are the same.
  return condition === undefined || condition === etag ? request.header("range") : undefined;
}

/** `Content-Range` of a part. */
export function contentRange({ start, end }: BytePart, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}

/** `Content-Range` of a refusal. */
export function contentRangeBeyond(size: number): string {
  return `bytes */${size}`;
}
