import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describeError, NexusError } from "../base/errors.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { readTemplate, type Template } from "./read-template.ts";

const run = promisify(execFile);

/** Templates are small; a repository that takes longer is none. */
const cloneMsMax = 60_000;

/** A template that comes with Nexus. */
export interface BuiltinTemplate {
  readonly directory: string;
  readonly manifest: Manifest;
}

/** The templates in a checkout of Nexus, in the order of their names. */
export async function listTemplates(nexus: string): Promise<readonly BuiltinTemplate[]> {
  const root = join(nexus, "templates");
  const entries = await readdir(root, { withFileTypes: true });
  const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  const found: BuiltinTemplate[] = [];
  for (const name of names) {
    const directory = join(root, name);
    found.push({ directory, manifest: await readManifest(directory) });
  }
  return found;
}

/** Where a template comes from: the name of one that comes with Nexus, a directory, or `git+URL#ref`. */
export interface TemplateSource {
  readonly source: string;
  readonly nexus: string;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/**
 * Reads a template from wherever it is. A repository is cloned to a temporary folder that is gone afterwards; nothing of
 * it is run.
 * @throws NexusError `not_found` or `invalid_request` that says what is wrong.
 */
export async function openTemplate(source: TemplateSource): Promise<Template> {
  if (source.source.startsWith("git+")) return await fromRepository(source);
  if (/^[a-z0-9-]+$/.test(source.source)) {
    const builtin = await listTemplates(source.nexus);
    const found = builtin.find(({ manifest }) => manifest.name === source.source);
    if (found !== undefined) return await readTemplate(found.directory);
  }
  return await readTemplate(resolve(source.workingDirectory, source.source));
}

async function fromRepository({ source, environment, signal }: TemplateSource): Promise<Template> {
  const [url = "", ref] = source.slice("git+".length).split("#", 2);
  if (!/^(https|ssh|file):\/\//.test(url) || ref?.startsWith("-") === true) {
    throw new NexusError("invalid_request", "Write a template's repository as git+https://HOST/PATH#BRANCH-OR-TAG.");
  }
  const folder = await mkdtemp(join(tmpdir(), "nexus-template-"));
  try {
    const options = ["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c", "core.fsmonitor=false"];
    const what = ["--depth", "1", "--no-tags", "--no-recurse-submodules", "--template=", "--quiet"];
    const branch = ref === undefined || ref === "" ? [] : ["--branch", ref];
    await run("git", [...options, "clone", ...what, ...branch, "--", url, folder], {
      timeout: cloneMsMax,
      signal,
      // Never asks for a password, and fetches no large files besides.
      env: { ...environment, GIT_TERMINAL_PROMPT: "0", GIT_LFS_SKIP_SMUDGE: "1" },
    });
    return await readTemplate(folder);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof NexusError) throw error;
    throw new NexusError("not_found", `The repository can't be cloned: ${complaintOf(error)}`, { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What git calls fatal first is what was wrong; general advice follows. */
function complaintOf(error: unknown): string {
  const { stderr = "" } = error as { stderr?: string };
  return stderr.split("\n").find((line) => line.startsWith("fatal:")) ?? describeError(error);
}
