import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { describeError, type Logger } from "nexus/base";
import { type Blob, blobsDirectory, type CatalogueEntry, cataloguePath, findBlob, loadCatalogue } from "nexus/blobs";
import { type ModelFacts, readModelFacts } from "./model-facts.ts";

/** A model whose file is here. */
export interface LibraryModel {
  readonly entry: CatalogueEntry;
  readonly blob: Blob;
  readonly facts: ModelFacts;
}

/** The models whose files are here, by id. */
export interface ModelLibrary {
  models(): readonly LibraryModel[];
  get(id: string): LibraryModel | undefined;
  /** Looks at the disk again. True when something is another. Never throws: what is broken is logged and left out. */
  refresh(): Promise<boolean>;
  /** Changes whenever `refresh` would have something to do; cheap. */
  stamp(): Promise<string>;
}

export function createModelLibrary(directory: string, log: Logger): ModelLibrary {
  let models = new Map<string, LibraryModel>();
  const factsByDigest = new Map<string, ModelFacts | undefined>();

  /** A header is read once: the file behind a digest never changes. */
  const factsOf = async (blob: Blob): Promise<ModelFacts | undefined> => {
    if (factsByDigest.has(blob.sha256)) return factsByDigest.get(blob.sha256);
    const facts = await readModelFacts(blob.path).catch((error: unknown) => {
      log.warn({ sha256: blob.sha256, reason: describeError(error) }, "model file cannot be read");
      return undefined;
    });
    factsByDigest.set(blob.sha256, facts);
    return facts;
  };
  const read = async (entry: CatalogueEntry): Promise<LibraryModel | undefined> => {
    const blob = await findBlob(directory, entry);
    const facts = blob === undefined ? undefined : await factsOf(blob);
    // A model made for embeddings or for rerank is served by the service for it, which knows the marks that such a model
    // wants on its texts: two services would give one text two vectors.
    if (blob === undefined || facts === undefined || facts.isEmbedder) return undefined;
    return { entry, blob, facts };
  };
  return {
    models: () => [...models.values()],
    get: (id) => models.get(id),
    async refresh() {
      const { entries, problems } = await loadCatalogue(directory);
      for (const problem of problems) log.warn({ problem }, "catalogue has a problem");
      const found = await Promise.all(entries.filter(isForText).map(read));
      const fresh = new Map(found.filter((model) => model !== undefined).map((model) => [model.entry.id, model]));
      const isOther = describe(fresh) !== describe(models);
      models = fresh;
      return isOther;
    },
    async stamp() {
      const paths = [cataloguePath(directory), blobsDirectory(directory), dirname(cataloguePath(directory))];
      const times = await Promise.all(
        paths.map((path) =>
          stat(path).then(
            ({ mtimeMs }) => mtimeMs,
            () => 0,
          ),
        ),
      );
      return times.join(" ");
    },
  };
}

/** The catalogue has models of other services too, in files that are not llama.cpp's. */
function isForText({ domains }: CatalogueEntry): boolean {
  return domains.some((domain) => domain === "chat" || domain === "embedding");
}

function describe(models: ReadonlyMap<string, LibraryModel>): string {
  return JSON.stringify([...models].map(([id, { blob, entry }]) => [id, blob.sha256, entry]));
}
