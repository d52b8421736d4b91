import { NexusError } from "nexus/base";

/** How this service is set up, beyond what every service reads. */
export interface OcrSettings {
  /** What each model reads: one language, or several that one page may mix, such as `eng+deu`. */
  readonly languages: readonly string[];
  /** A directory of `CODE.traineddata` or `CODE.traineddata.gz`, looked into before the places that are known. */
  readonly dataDirectory: string | undefined;
  /** Pages of one document. */
  readonly pagesMax: number;
  /** Pixels of one picture or page. */
  readonly pixelsMax: number;
  /** Documents at once; each has a thread and its memory, about 100 MB and more for large pages. */
  readonly parallel: number;
}

const languagePattern = /^[a-z]{3}(?:_[a-z]{3,4})?(?:\+[a-z]{3}(?:_[a-z]{3,4})?){0,7}$/;

/**
 * Reads `NEXUS_OCR_LANGUAGES`, `NEXUS_OCR_DATA`, `NEXUS_OCR_PAGES`, `NEXUS_OCR_MEGAPIXELS` and `NEXUS_OCR_PARALLEL`;
 * empty means unset. Defaults: English, the data that came with the service, 50 pages, 40 megapixels (A3 at 400 dpi has
 * 31), and all cores but one.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readOcrSettings(variables: Readonly<Record<string, string | undefined>>, cores: number): OcrSettings {
  const integer = (name: string, fallback: number, max: number): number => {
    const text = variables[name] || undefined;
    const value = text === undefined ? fallback : Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new NexusError("invalid_request", `${name} must be a whole number from 1 to ${max}.`);
  };
  const languages = (variables.NEXUS_OCR_LANGUAGES || "eng").split(",").map((text) => text.trim());
  if (languages.length > 64 || languages.some((text) => !languagePattern.test(text))) {
    throw new NexusError(
      "invalid_request",
      "NEXUS_OCR_LANGUAGES must list Tesseract's language codes, such as eng,deu,eng+deu.",
    );
  }
  return {
    languages: [...new Set(languages)],
    dataDirectory: variables.NEXUS_OCR_DATA || undefined,
    pagesMax: integer("NEXUS_OCR_PAGES", 50, 10_000),
    pixelsMax: integer("NEXUS_OCR_MEGAPIXELS", 40, 400) * 1_000_000,
    parallel: integer("NEXUS_OCR_PARALLEL", Math.max(1, cores - 1), 64),
  };
}
