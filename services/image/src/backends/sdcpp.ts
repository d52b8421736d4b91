import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { findProgram, NexusError } from "nexus/base";
import type { ImageBackend, Making } from "../image-backend.ts";
import type { ImageOrder, Picture } from "../image-order.ts";
import { runProgram } from "../run-program.ts";
import { pictureFrom } from "../to-picture.ts";

export interface SdCppOptions {
  /** Name or path of `sd`, which newer versions call `sd-cli`. */
  readonly program: string;
  readonly modelPath: string | undefined;
  /** Given to every run, such as `--vae /models/ae.safetensors`. */
  readonly programArguments: readonly string[];
  /** Of this service; the program gets little of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const title = "stable-diffusion.cpp";
/** What a program that computes on a GPU may need; nothing else of the service's environment is its business. */
const inherited = ["PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES"];

/** stable-diffusion.cpp's program, run for each request: nothing holds memory in between. */
export function createSdCpp({ program, modelPath, programArguments, environment }: SdCppOptions): ImageBackend {
  return {
    title,
    vendor: "leejet",
    runtimes: [program],
    edits: true,
    async look() {
      const path = findProgram(program, { path: environment.PATH ?? "" });
      if (path === undefined) {
        throw away(
          `There is no program ${program}. Install stable-diffusion.cpp, or say in NEXUS_IMAGE_PROGRAM where it is.`,
        );
      }
      if (modelPath === undefined) throw away("NEXUS_IMAGE_MODEL_PATH must name the file of a model.");
      const found = await stat(modelPath).catch(() => undefined);
      if (found?.isFile() !== true) throw away("There is no file where NEXUS_IMAGE_MODEL_PATH points to.");
      return { version: "", models: [basename(modelPath, extname(modelPath))] };
    },
    async make(order, making) {
      const directory = await mkdtemp(join(tmpdir(), "nexus-image-"));
      try {
        const files = await writeSource(directory, order);
        await runProgram({
          program,
          arguments: [...toArguments(order, modelPath ?? "", directory), ...files, ...programArguments],
          environment: Object.fromEntries(inherited.map((name) => [name, environment[name]])),
          directory,
          title,
          signal: making.signal,
          onOutput: followSteps(order, making),
        });
        return await readPictures(directory, order.count);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}

function away(message: string): NexusError {
  return new NexusError("not_ready", message);
}

const outputPrefix = "made";

function toArguments(order: ImageOrder, modelPath: string, directory: string): string[] {
  const values: readonly (readonly [flag: string, value: string | number])[] = [
    ["--model", modelPath],
    ["--output", join(directory, `${outputPrefix}.png`)],
    ["--width", order.width],
    ["--height", order.height],
    ["--steps", order.steps],
    ["--seed", order.seed],
    ["--cfg-scale", order.guidance],
    ["--batch-count", order.count],
    ["--prompt", order.prompt],
    ["--negative-prompt", order.negativePrompt],
  ];
  return values.flatMap(([flag, value]) => [flag, String(value)]);
}

async function writeSource(directory: string, { source }: ImageOrder): Promise<string[]> {
  if (source === undefined) return [];
  const write = async (name: string, { bytes, type }: Picture): Promise<string> => {
    const path = join(directory, `${name}.${type.slice("image/".length)}`);
    await writeFile(path, bytes);
    return path;
  };
  const image = ["--init-img", await write("source", source.image), "--strength", String(source.strength)];
  return source.mask === undefined ? image : [...image, "--mask", await write("mask", source.mask)];
}

/** Its progress bar: `|====>     | 7/20 - 1.35s/it`, from its beginning for each picture. */
function followSteps({ steps, count }: ImageOrder, { onProgress }: Making): (text: string) => void {
  let done = 0;
  let last = 0;
  return (text) => {
    for (const [, step, total] of text.matchAll(/\|\s*(\d{1,4})\/(\d{1,4})\s*-/g)) {
      // The decoder has a bar of its own, with other totals.
      if (Number(total) !== steps) continue;
      if (Number(step) < last) done++;
      last = Number(step);
      onProgress({ fraction: Math.min(1, (done + last / steps) / count), preview: undefined });
    }
  };
}

/** The first is `made.png`, further ones `made_2.png` and so on. */
async function readPictures(directory: string, count: number): Promise<readonly Picture[]> {
  const number = (name: string) => Number(/_(\d+)\.png$/.exec(name)?.[1] ?? 1);
  const names = (await readdir(directory))
    .filter((name) => name.startsWith(outputPrefix) && name.endsWith(".png"))
    .toSorted((left, right) => number(left) - number(right));
  const pictures = await Promise.all(names.slice(0, count).map((name) => readFile(join(directory, name))));
  if (pictures.length === 0) throw new NexusError("backend_error", `${title} made no picture.`, { source: "service" });
  return pictures.map((bytes) => pictureFrom(title, bytes));
}
