import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, isAbsolute } from "node:path";
import { type CatalogueEntry, findBlob, loadCatalogue } from "nexus/blobs";

/** A Whisper model whose file is here. */
export interface ShelfModel {
  readonly id: string;
  readonly path: string;
  readonly bytes: number;
  readonly entry: CatalogueEntry | undefined;
}

/** The Whisper models that are here: those of the catalogue, and the one that the settings name by its path. */
export async function lookAtShelf(directory: string, chosen: string): Promise<readonly ShelfModel[]> {
  const { entries } = await loadCatalogue(directory);
  const forSound = entries.filter(({ domains }) => domains.includes("transcription"));
  const found = await Promise.all(
    forSound.map(async (entry): Promise<ShelfModel[]> => {
      const blob = await findBlob(directory, entry);
      return blob === undefined ? [] : [{ id: entry.id, path: blob.path, bytes: blob.bytes, entry }];
    }),
  );
  return [...(await ownFile(chosen)), ...found.flat()];
}

async function ownFile(chosen: string): Promise<ShelfModel[]> {
  if (!isAbsolute(chosen) || !existsSync(chosen)) return [];
  return [{ id: idOf(chosen), path: chosen, bytes: (await stat(chosen)).size, entry: undefined }];
}

/** The id of a model that the settings name: of a file `ggml-small.bin` it is `ggml-small`. */
export function idOf(chosen: string): string {
  return isAbsolute(chosen) ? basename(chosen).replace(/\.[a-z]+$/i, "") : chosen;
}
