import { isAbsolute, join } from "node:path";
import { silentLogger } from "../../base/logger.ts";
import {
  addModel,
  type ListedModel,
  listModels as listCatalogue,
  type PullProgress,
  pullModel as pull,
} from "../../blobs/index.ts";
import { removeModel as removeBlob } from "../../blobs/remove-model.ts";
import type { ModelStatus } from "../../control/status.ts";
import { CliError } from "../cli-error.ts";
import type { CliContext } from "../context.ts";
import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { type Cell, formatBytes, progressBar, type Terminal } from "../terminal.ts";
import type { Verb } from "../verb.ts";
import { loadPlatformConfig } from "../verb-config.ts";

export interface ModelFlags extends DataFlag, ConfigFlag, JsonFlag {}

export interface ModelAddFlags extends ModelFlags {
  readonly from: string;
  readonly sha256?: string;
}

/** `nexus models ls`: what answers now, and what can be had. */
export const listModels: Verb<ModelFlags, []> = async ({ context }, flags) => {
  const { terminal } = context;
  const directory = await modelsDirectory(context, flags);
  const { models: known, problems } = await listCatalogue(directory);
  const served = await servedModels(context, flags);
  terminal.note(...problems.map((problem) => `${terminal.paintNote("yellow", "warning:")} ${problem}`));
  return {
    json: { served, catalogue: known, problems, directory },
    text: [...describeServed(served, terminal), "", ...describeCatalogue(known, terminal)],
  };
};

/** The directory of model files that the configuration means. */
async function modelsDirectory(context: CliContext, flags: ModelFlags): Promise<string> {
  const { config, paths } = await loadPlatformConfig(context, flags);
  return config.models.directory ?? paths.models;
}

/** Null when no platform runs: then nothing is served, and that is no failure. */
async function servedModels(context: CliContext, flags: ModelFlags): Promise<readonly ModelStatus[] | null> {
  try {
    return (await findPlatform(context, flags).status()).models;
  } catch (error) {
    if (error instanceof CliError && error.code === "no_platform") return null;
    throw error;
  }
}

function describeServed(served: readonly ModelStatus[] | null, terminal: Terminal): string[] {
  if (served === null) return ["No platform is running; `nexus up` starts one."];
  if (served.length === 0) return ["No model is served yet; `nexus status` says why."];
  const rows = served.map((model): Cell[] => [
    { text: model.id, style: "bold" },
    model.domains.join(", "),
    model.context_window === null ? "?" : String(model.context_window),
    model.state === "loaded" ? { text: "loaded", style: "green" } : model.state,
    model.instances.join(", "),
  ]);
  return terminal.table(rows, ["MODEL", "FOR", "CONTEXT", "STATE", "INSTANCES"]);
}

function describeCatalogue(models: readonly ListedModel[], terminal: Terminal): string[] {
  const rows = models.map((model): Cell[] => [
    { text: model.id, style: "bold" },
    model.domains.join(", "),
    model.bytes === null ? "?" : formatBytes(model.bytes),
    model.installed === null ? "-" : { text: "installed", style: "green" },
    model.license,
    model.title,
  ]);
  return terminal.table(rows, ["CATALOGUE", "FOR", "SIZE", "HERE", "LICENSE", "WHAT IT IS"]);
}

/** `nexus models pull MODEL` */
export const pullModel: Verb<ModelFlags, [model: string]> = async ({ context }, flags, id) => {
  const { terminal, environment, interrupts } = context;
  const directory = await modelsDirectory(context, flags);
  const area = terminal.live();
  const plain = terminal.isLive ? () => {} : plainProgress(terminal);
  try {
    const pulled = await pull({
      id,
      directory,
      environment,
      signal: interrupts.signal,
      log: silentLogger,
      onProgress(progress) {
        area.update([describeProgress(id, progress)]);
        plain(progress);
      },
    });
    area.clear();
    const how = pulled.source === "installed" ? "was here already" : `came from ${pulled.source}`;
    return {
      json: { id, ...pulled },
      text: [`${id} ${how}: ${formatBytes(pulled.bytes)}, sha256 verified.`, pulled.path],
    };
  } finally {
    area.clear();
  }
};

function describeProgress(id: string, { stage, source, bytesDone, bytesTotal }: PullProgress): string {
  const amount =
    bytesTotal === null || bytesTotal === 0
      ? formatBytes(bytesDone)
      : `${progressBar(bytesDone / bytesTotal)} of ${formatBytes(bytesTotal)}`;
  return `${id}: ${stage}  ${amount}  ${source}`;
}

/** Without a terminal, a line at every stage and every tenth. */
function plainProgress(terminal: Terminal): (progress: PullProgress) => void {
  let last = "";
  return (progress) => {
    const { stage, source, bytesDone, bytesTotal } = progress;
    const tenth = bytesTotal === null || bytesTotal === 0 ? 0 : Math.floor((bytesDone / bytesTotal) * 10);
    const step = `${stage} ${source} ${tenth}`;
    if (step === last) return;
    last = step;
    terminal.note(bytesTotal === null ? `${stage} ${source}` : `${stage} ${source}: ${tenth * 10} %`);
  };
}

/** `nexus models add MODEL --from SOURCE` */
export const addOwnModel: Verb<ModelAddFlags, [model: string]> = async ({ context }, flags, id) => {
  const directory = await modelsDirectory(context, flags);
  const isPath = !/^[a-z]+:/i.test(flags.from) && !isAbsolute(flags.from);
  const added = await addModel({
    directory,
    id,
    from: isPath ? join(context.workingDirectory, flags.from) : flags.from,
    ...(flags.sha256 === undefined ? {} : { sha256: flags.sha256 }),
  });
  return {
    json: added,
    text: [`${id} is in the catalogue. \`nexus models pull ${id}\` fetches it; \`models.default: ${id}\` serves it.`],
  };
};

/** `nexus models rm MODEL` */
export const removeModel: Verb<ModelFlags, [model: string]> = async ({ context }, flags, id) => {
  const directory = await modelsDirectory(context, flags);
  const removed = await removeBlob({ directory, id });
  return { json: { id, ...removed }, text: [`The file of ${id} is deleted: ${formatBytes(removed.bytes)} freed.`] };
};
