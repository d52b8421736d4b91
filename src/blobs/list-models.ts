import { type Blob, findBlob } from "./blob-store.ts";
import { type CatalogueEntry, loadCatalogue } from "./catalogue.ts";
import { describeSource } from "./model-source.ts";

/** A model of the catalogue and whether its file is here. */
export interface ListedModel {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly license: string;
  readonly domains: CatalogueEntry["domains"];
  readonly origin: CatalogueEntry["origin"];
  /** In the order in which they are tried. */
  readonly sources: readonly string[];
  /** Size of the file: its own when it is here, else what a source says; null when nobody does. */
  readonly bytes: number | null;
  readonly installed: Blob | null;
}

export interface ModelList {
  readonly models: readonly ListedModel[];
  /** What is wrong in the file of added models. */
  readonly problems: readonly string[];
}

/** Every model of the catalogue, the installed ones with path, digest and size. */
export async function listModels(directory: string): Promise<ModelList> {
  const { entries, problems } = await loadCatalogue(directory);
  const models = await Promise.all(
    entries.map(async (entry): Promise<ListedModel> => {
      const installed = (await findBlob(directory, entry)) ?? null;
      const { id, title, description, license, domains, origin } = entry;
      const stated = entry.sources.find((source) => source.bytes !== undefined)?.bytes ?? null;
      const sources = entry.sources.map(describeSource);
      return {
        id,
        title,
        description,
        license,
        domains,
        origin,
        sources,
        bytes: installed?.bytes ?? stated,
        installed,
      };
    }),
  );
  return { models, problems };
}
