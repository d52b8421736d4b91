import type { ImageOrder, Picture } from "./image-order.ts";

/** One of `data`: in base64, or as a data: URL for clients that want a link. */
export function describePicture({ bytes, type }: Picture, asUrl: boolean): object {
  const encoded = bytes.toString("base64");
  return asUrl ? { url: `data:${type};base64,${encoded}` } : { b64_json: encoded };
}

/** What OpenAI's answers say of their pictures, and the seed, with which the same can be had again. */
export function looksOf({ type }: Picture, { width, height, seed }: ImageOrder): object {
  return { output_format: type.slice("image/".length), size: `${width}x${height}`, seed };
}
