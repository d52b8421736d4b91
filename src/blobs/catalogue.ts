import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { closeNames } from "../base/close-names.ts";
import { describeError, NexusError } from "../base/errors.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import { domainSchema } from "../contract/metadata.ts";
import { describeIssues } from "../contract/parse.ts";
import { builtinModels } from "./builtin-models.ts";
import { type ModelSource, modelSourceSchema, parseModelSource } from "./model-source.ts";

const modelIdSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?$/, "lower-case letters, digits, '.', '_' and '-', at most 128");

const addedEntrySchema = z.strictObject({
  id: modelIdSchema,
  title: z.string().max(256),
  description: z.string().max(1024).default(""),
  license: z.string().max(128).default("unknown"),
  domains: z.array(domainSchema).min(1).default(["chat"]),
  sources: z.array(modelSourceSchema).min(1).max(16),
});
type AddedEntry = z.infer<typeof addedEntrySchema>;

/** A model that can be had by name. */
export interface CatalogueEntry extends AddedEntry {
  /** What its makers recommend when a client says nothing. */
  readonly sampling?: { readonly temperature: number; readonly topP: number };
  readonly origin: "built-in" | "added";
}

export interface Catalogue {
  readonly entries: readonly CatalogueEntry[];
  /** What is wrong in the file of additions, a line each; the rest of it is in `entries`. */
  readonly problems: readonly string[];
}

/** The file of additions. */
export function cataloguePath(directory: string): string {
  return join(directory, "catalogue.json");
}

/** The built-in models and the operator's additions. A broken file or entry becomes a problem and hides nothing else. */
export async function loadCatalogue(directory: string): Promise<Catalogue> {
  const { added, problems } = await readAdditions(directory);
  return { entries: [...builtinModels, ...added.map((entry) => ({ ...entry, origin: "added" as const }))], problems };
}

/**
 * The entry with this id.
 * @throws NexusError `model_not_found` with close names.
 */
export async function findEntry(directory: string, id: string): Promise<CatalogueEntry> {
  const { entries } = await loadCatalogue(directory);
  const found = entries.find((entry) => entry.id === id);
  if (found !== undefined) return found;
  const ids = entries.map((entry) => entry.id);
  const close = closeNames(id, ids, 3);
  const hint = close.length > 0 ? `Did you mean ${close.join(" or ")}?` : `There are ${ids.join(", ")}.`;
  throw new NexusError("model_not_found", `The catalogue has no model "${id}". ${hint}`, { param: "model" });
}

export interface ModelAddition {
  readonly directory: string;
  readonly id: string;
  /** An https URL, `pypi:NAME==VERSION`, or an absolute path. */
  readonly from: string;
  /** Of the model file. Without it the first download decides, and later ones must match it. */
  readonly sha256?: string;
}

/**
 * Adds a model, or another source to one that was added before. Fetches nothing.
 * @throws NexusError `conflict` for the name of a built-in model, `invalid_request` for anything malformed.
 */
export async function addModel({ directory, id, from, sha256 }: ModelAddition): Promise<CatalogueEntry> {
  if (!modelIdSchema.safeParse(id).success) {
    throw new NexusError("invalid_request", "A model's name is lower-case letters, digits, '.', '_' and '-'.", {
      param: "id",
    });
  }
  if (builtinModels.some((entry) => entry.id === id)) {
    throw new NexusError("conflict", `${id} is the name of a built-in model: take another.`, { param: "id" });
  }
  const source = parseModelSource(from, sha256);
  const { added } = await readIntactAdditions(directory);
  const old = added.find((entry) => entry.id === id);
  const base: AddedEntry = old ?? {
    id,
    title: id,
    description: "",
    license: "unknown",
    domains: ["chat"],
    sources: [],
  };
  const entry = { ...base, sources: [...base.sources.filter((known) => !isSamePlace(known, source)), source] };
  await writeAdditions(directory, [...added.filter((other) => other.id !== id), entry]);
  return { ...entry, origin: "added" };
}

/** Remembers the digest that the first download of an unpinned source had. Built-in models are all pinned. */
export async function pinSource(directory: string, id: string, source: ModelSource, sha256: string): Promise<void> {
  const { added } = await readIntactAdditions(directory);
  const pinned = added.map((entry) =>
    entry.id === id
      ? { ...entry, sources: entry.sources.map((known) => (isSamePlace(known, source) ? { ...known, sha256 } : known)) }
      : entry,
  );
  await writeAdditions(directory, pinned);
}

function isSamePlace(one: ModelSource, other: ModelSource): boolean {
  const place = (source: ModelSource): string => JSON.stringify({ ...source, sha256: undefined, bytes: undefined });
  return place(one) === place(other);
}

interface Additions {
  readonly added: readonly AddedEntry[];
  readonly problems: readonly string[];
}

const fileSchema = z.looseObject({ models: z.array(z.unknown()) });

async function readAdditions(directory: string): Promise<Additions> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(cataloguePath(directory), "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { added: [], problems: [] };
    return { added: [], problems: [`catalogue.json: ${describeError(error)}`] };
  }
  const file = fileSchema.safeParse(content);
  if (!file.success) return { added: [], problems: [`catalogue.json: ${describeIssues(file.error)}`] };
  const added: AddedEntry[] = [];
  const problems: string[] = [];
  for (const [index, value] of file.data.models.entries()) {
    const entry = addedEntrySchema.safeParse(value);
    const isTaken = entry.success && [...builtinModels, ...added].some(({ id }) => id === entry.data.id);
    if (!entry.success) problems.push(`catalogue.json, model ${index + 1}: ${describeIssues(entry.error)}`);
    else if (isTaken) problems.push(`catalogue.json, model ${index + 1}: the name ${entry.data.id} is taken`);
    else added.push(entry.data);
  }
  return { added, problems };
}

/** Before a write: what could not be read would be lost by it. */
async function readIntactAdditions(directory: string): Promise<Additions> {
  const additions = await readAdditions(directory);
  if (additions.problems.length === 0) return additions;
  throw new NexusError("conflict", `Mend the file of added models first. ${additions.problems.join("; ")}`);
}

async function writeAdditions(directory: string, models: readonly AddedEntry[]): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFileAtomic(cataloguePath(directory), `${JSON.stringify({ version: 1, models }, null, 2)}\n`);
}
