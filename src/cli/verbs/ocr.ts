import { writeFile } from "node:fs/promises";
import { askGateway } from "../ask-gateway.ts";
import { readFileAsUrl } from "../file-as-url.ts";
import { findOutput } from "../find-output.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { firstServedModel } from "../served-models.ts";
import { printable, progressBar } from "../terminal.ts";
import type { Verb } from "../verb.ts";
import { waitShown } from "../wait-shown.ts";

export interface OcrFlags extends DataFlag, JsonFlag {
  readonly model?: string;
  readonly format?: "text" | "json";
  readonly pages?: string;
  readonly output?: string;
}

interface OcrAnswer {
  readonly model: string;
  readonly pages: readonly { readonly index: number; readonly markdown: string }[];
}

/** `nexus ocr FILE...`: the text of each picture or PDF, a page after the other. */
export const ocr: Verb<OcrFlags, string[]> = async ({ context }, flags, ...paths) => {
  const { terminal, interrupts } = context;
  const { signal } = interrupts;
  const place = flags.output === undefined ? undefined : await findOutput(context, flags.output);
  const files = [];
  for (const path of paths) files.push({ path, ...(await readFileAsUrl(context, path)) });
  const gateway = await findPlatform(context, flags).gateway();
  const model = flags.model ?? (await firstServedModel(gateway, { domain: "ocr", service: "ocr", signal }));
  const documents: (OcrAnswer & { readonly file: string })[] = [];
  for (const [index, { path, type, url }] of files.entries()) {
    const document =
      type === "application/pdf" ? { type: "document_url", document_url: url } : { type: "image_url", image_url: url };
    const body = { model, document, ...(flags.pages === undefined ? {} : { pages: flags.pages }) };
    const shown = (seconds: string) =>
      files.length === 1
        ? `Reading ${printable(path)}  ${seconds}`
        : `${progressBar(index / files.length)}  ${printable(path)}  ${seconds}`;
    const answer = await waitShown(terminal, shown, askGateway(gateway, { path: "/v1/ocr", body, signal }));
    documents.push({ file: path, ...(answer as OcrAnswer) });
  }
  const text = flags.format === "json" ? [JSON.stringify(documents, null, 2)] : textOf(documents);
  if (place === undefined) return { json: { documents }, text };
  await writeFile(place, `${text.join("\n")}\n`);
  const pages = documents.reduce((sum, document) => sum + document.pages.length, 0);
  return { json: { documents, output: flags.output }, text: [`${pages} pages by ${model}, in ${flags.output}.`] };
};

/** Pages and documents with an empty line between them. */
function textOf(documents: readonly OcrAnswer[]): string[] {
  const pages = documents.flatMap((document) => document.pages.map(({ markdown }) => markdown));
  return printable(pages.join("\n\n"), { keepLines: true }).split("\n");
}
