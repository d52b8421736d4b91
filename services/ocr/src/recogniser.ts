import load, { type TessBaseAPI, type TesseractCore } from "tesseract.js-core/tesseract-core-simd-lstm.js";
import { type LanguageModel, readLanguage } from "./language-data.ts";
import { type PageText, toPageText } from "./read-page.ts";

/** One picture in a form that Tesseract reads: PNG, JPEG, WebP, BMP or PGM. */
export interface Picture {
  readonly bytes: Uint8Array;
  readonly orientation: number;
  /** Dots per inch where they are known; else they are guessed from the size of the letters. */
  readonly dpi: number | undefined;
}

/** Tesseract in this thread. Every call runs to its end before anything else in the thread does. */
export interface Recogniser {
  /** Makes the next pages be read in these languages. */
  use(model: LanguageModel): Promise<void>;
  /** @returns undefined when the bytes are no picture after all. */
  read(picture: Picture): PageText | undefined;
}

const inputPath = "/input";
/** Columns, tables and pictures are told apart; the whole page is looked at. */
const wholePage = "3";

/** @throws Error when this processor or Node cannot run it. */
export async function createRecogniser(): Promise<Recogniser> {
  const core = await load({ print: () => {}, printErr: () => {}, TesseractProgress: () => {} });
  let current: { readonly languages: string; readonly api: TessBaseAPI } | undefined;
  return {
    async use(model) {
      if (current?.languages === model.languages) return;
      current?.api.End();
      current = undefined;
      current = { languages: model.languages, api: await open(core, model) };
    },
    read(picture) {
      if (current === undefined) throw new RangeError("no language was chosen");
      core.FS.writeFile(inputPath, picture.bytes);
      try {
        return recognise(current.api, picture);
      } finally {
        core.FS.unlink(inputPath);
        current.api.Clear();
      }
    },
  };
}

async function open(core: TesseractCore, { languages, files }: LanguageModel): Promise<TessBaseAPI> {
  for (const file of files) core.FS.writeFile(`${file.code}.traineddata`, await readLanguage(file));
  const api = new core.TessBaseAPI();
  if (api.Init(null, languages, 1) !== 0) throw new Error(`the data of ${languages} cannot be read`);
  api.SetVariable("tessedit_pageseg_mode", wholePage);
  return api;
}

function recognise(api: TessBaseAPI, { orientation, dpi }: Picture): PageText | undefined {
  if (api.SetImageFile(orientation, 0) !== 0) return undefined;
  if (dpi !== undefined) api.SetSourceResolution(dpi);
  if (api.Recognize(null) !== 0) return undefined;
  return toPageText(JSON.parse(api.GetJSONText(0)));
}
