import { writeFile } from "node:fs/promises";
import { CliError } from "../cli-error.ts";
import { exitCodes } from "../exit-codes.ts";
import { readFileAsUrl } from "../file-as-url.ts";
import { findOutput } from "../find-output.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { firstServedModel } from "../served-models.ts";
import { streamPicture } from "../stream-picture.ts";
import { formatBytes, progressBar } from "../terminal.ts";
import type { Verb } from "../verb.ts";
import { waitShown } from "../wait-shown.ts";

export interface ImageFlags extends DataFlag, JsonFlag {
  readonly model?: string;
  readonly output: string;
  readonly size?: string;
  readonly steps?: number;
  readonly seed?: number;
  readonly negative?: string;
  readonly edit?: string;
  readonly mask?: string;
}

/** `nexus image PROMPT`: a picture of a text, or of a picture and a text, in a file. */
export const image: Verb<ImageFlags, string[]> = async ({ context }, flags, ...words) => {
  const { terminal, interrupts } = context;
  const { signal } = interrupts;
  const place = await findOutput(context, flags.output);
  const source = await readSource(context, flags);
  if (words.length === 0) {
    throw new CliError(exitCodes.usage, "usage", "There is no prompt.", { hint: 'Write nexus image "a cat".' });
  }
  const gateway = await findPlatform(context, flags).gateway();
  const model = flags.model ?? (await firstServedModel(gateway, { domain: "image", service: "image", signal }));
  const body = {
    model,
    prompt: words.join(" "),
    ...(flags.size === undefined ? {} : { size: flags.size }),
    ...(flags.steps === undefined ? {} : { steps: flags.steps }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(flags.negative === undefined ? {} : { negative_prompt: flags.negative }),
    ...source,
  };
  const path = source === undefined ? "/v1/images/generations" : "/v1/images/edits";
  let fraction: number | undefined;
  const making = streamPicture(gateway, { path, body, signal }, (reached) => {
    fraction = reached;
  });
  const line = (time: string) => (fraction === undefined ? `${model}  ${time}` : `${progressBar(fraction)}  ${time}`);
  const { bytes, seed, size } = await waitShown(terminal, line, making);
  await writeFile(place, bytes);
  const facts = [size, seed === null ? null : `seed ${seed}`, formatBytes(bytes.length)].filter(
    (fact) => fact !== null,
  );
  return {
    json: { model, output: flags.output, bytes: bytes.length, seed, size },
    text: [`${flags.output}: ${facts.join(", ")}, by ${model}.`],
  };
};

async function readSource(context: Parameters<typeof readFileAsUrl>[0], { edit, mask }: ImageFlags) {
  if (edit === undefined) {
    if (mask === undefined) return undefined;
    throw new CliError(exitCodes.usage, "usage", "--mask needs a picture to change.", { hint: "Name it with --edit." });
  }
  const images = [{ image_url: (await readFileAsUrl(context, edit)).url }];
  return mask === undefined ? { images } : { images, mask: { image_url: (await readFileAsUrl(context, mask)).url } };
}
