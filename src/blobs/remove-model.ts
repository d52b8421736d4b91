import { rm } from "node:fs/promises";
import { NexusError } from "../base/errors.ts";
import { type Blob, findBlob } from "./blob-store.ts";
import { findEntry } from "./catalogue.ts";

/**
 * Deletes a model's file; its entry in the catalogue stays, so that it can be fetched again. A process that has the
 * model loaded keeps it until it ends.
 * @throws NexusError `model_not_found` for an unknown id, `not_found` when its file isn't here.
 */
export async function removeModel({ directory, id }: { directory: string; id: string }): Promise<Blob> {
  const blob = await findBlob(directory, await findEntry(directory, id));
  if (blob === undefined)
    throw new NexusError("not_found", `The file of ${id} isn't here: there is nothing to delete.`);
  await rm(blob.path, { force: true });
  return blob;
}
