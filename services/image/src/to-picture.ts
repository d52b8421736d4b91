import { NexusError } from "nexus/base";
import { readPictureHead } from "nexus/service-kit";
import type { Picture } from "./image-order.ts";

/** What bytes from a backend or a client are; undefined when they are no picture that browsers show. */
export function toPicture(bytes: Buffer): Picture | undefined {
  const type = readPictureHead(bytes)?.type;
  return type === undefined || type === "bmp" ? undefined : { bytes, type: `image/${type}` };
}

/** @throws NexusError `backend_error` when a backend has sent something else. */
export function pictureFrom(title: string, bytes: Buffer): Picture {
  const picture = toPicture(bytes);
  if (picture !== undefined) return picture;
  throw new NexusError("backend_error", `${title} sent something that is no picture.`, { source: "service" });
}
