import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { NexusError } from "../base/errors.ts";
import { type Combination, templateDomains, templateModes } from "./combination.ts";
import { type Manifest, readManifest } from "./manifest.ts";

/** One file of a template. */
export interface TemplateFile {
  /** In the service that it becomes a part of, with variables in it. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly isExecutable: boolean;
}

/** A folder of a template, whose name says for which services its files are. */
export interface TemplatePart {
  readonly name: string;
  readonly isFor: (combination: Combination) => boolean;
  readonly files: readonly TemplateFile[];
}

export interface Template {
  readonly directory: string;
  readonly manifest: Manifest;
  readonly parts: readonly TemplatePart[];
}

const filesMax = 500;
const fileBytesMax = 1024 * 1024;

/**
 * Reads a template whole: its manifest and every part. Links are left out, and what tools leave behind.
 * @throws NexusError `invalid_request` that names what is wrong with it.
 */
export async function readTemplate(directory: string): Promise<Template> {
  const manifest = await readManifest(directory);
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  const parts: TemplatePart[] = [];
  let room = filesMax;
  for (const name of names) {
    const isFor = readCondition(name);
    if (isFor === undefined) continue;
    const files = await readFiles(join(directory, name), "", room);
    room -= files.length;
    parts.push({ name, isFor, files });
  }
  return { directory, manifest, parts };
}

const known: Readonly<Record<"domain" | "mode", readonly string[]>> = { domain: templateDomains, mode: templateModes };

/**
 * What a folder's name says: `all`, `mode-native`, `domain-video+music.mode-command`. Undefined for a name that is no
 * condition at all. Throws `invalid_request` for one that almost is.
 */
export function readCondition(name: string): TemplatePart["isFor"] | undefined {
  if (name === "all") return () => true;
  if (!/^(domain|mode)-/.test(name)) return undefined;
  const tests = name.split(".").map((condition) => {
    const [, kind, list = ""] = /^(domain|mode)-(.+)$/.exec(condition) ?? [];
    if (kind !== "domain" && kind !== "mode") throw unclear(name, `\`${condition}\` is no condition`);
    const wanted = list.split("+");
    const stranger = wanted.find((one) => !known[kind].includes(one));
    if (stranger !== undefined) throw unclear(name, `there is no ${kind} \`${stranger}\``);
    return (combination: Combination) => wanted.includes(combination[kind]);
  });
  return (combination) => tests.every((test) => test(combination));
}

function unclear(folder: string, problem: string): NexusError {
  return new NexusError("invalid_request", `The template's folder ${folder} can't be understood: ${problem}.`);
}

/** What tools leave behind, and no author of a template means. */
const leftovers: ReadonlySet<string> = new Set([".DS_Store", ".git", ".venv", "__pycache__", "node_modules"]);

async function readFiles(folder: string, below: string, room: number): Promise<readonly TemplateFile[]> {
  const files: TemplateFile[] = [];
  const entries = await readdir(join(folder, below), { withFileTypes: true });
  for (const entry of entries.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (leftovers.has(entry.name)) continue;
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) files.push(...(await readFiles(folder, path, room - files.length)));
    else if (entry.isFile()) files.push(await readOne(join(folder, path), path));
    if (files.length > room) throw new NexusError("invalid_request", `The template has more than ${filesMax} files.`);
  }
  return files;
}

const executableBits = 0o111;

async function readOne(file: string, path: string): Promise<TemplateFile> {
  const { size, mode } = await lstat(file);
  if (size > fileBytesMax) {
    throw new NexusError("invalid_request", `The template's ${path} is larger than ${fileBytesMax} bytes.`);
  }
  return { path, bytes: await readFile(file), isExecutable: (mode & executableBits) !== 0 };
}
