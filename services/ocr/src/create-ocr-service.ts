import { type Clock, NexusError, systemClock } from "nexus/base";
import { defineService, json, type Service, type ServiceRequest } from "nexus/service-kit";
import { findLanguages, type LanguageModel } from "./language-data.ts";
import { parseOcrRequest } from "./ocr-request.ts";
import type { ReadPage } from "./reading.ts";
import { createReadingThreads, type ReadingThreads } from "./reading-threads.ts";
import type { OcrSettings } from "./settings.ts";

export interface OcrServiceOptions {
  readonly settings: OcrSettings;
  readonly version: string;
  /** Of Tesseract's package. */
  readonly backendVersion: string;
  readonly clock?: Clock;
}

/** Bytes of one request: a scan of 24 MB in base64. */
const bodyBytesMax = 32 * 1024 * 1024;

const modelId = (languages: string) => `tesseract-${languages}`;

/** Reads pictures and PDF pages with Tesseract, on threads of this process. */
export function createOcrService({
  settings,
  version,
  backendVersion,
  clock = systemClock,
}: OcrServiceOptions): Service {
  const threads = createReadingThreads(settings.parallel, clock);
  let models: readonly LanguageModel[] = [];
  return defineService({
    name: "ocr",
    version,
    description: "Reads printed text off pictures and PDF pages, with the place of every line and word.",
    backend: { name: "Tesseract", vendor: "tesseract-ocr", version: backendVersion },
    capabilities: {
      domains: ["ocr"],
      modalities: { input: ["image", "file"], output: ["text"] },
      max_concurrency: settings.parallel,
      features: ["boxes", "pdf", "pages", "cancel"],
    },
    requires: { cpu: 1, memory: 256 * 1024 ** 2, disk: 64 * 1024 ** 2, warmup_seconds: 2 },
    ui: {
      options: [
        { key: "document", label: "Picture or PDF", type: "file" },
        { key: "pages", label: "Pages", type: "string", description: "Such as 0-3,7, counted from 0; all when empty." },
      ],
    },
    navigation: { section: "ocr", title: "Read text", icon: "scan", order: 60 },
    limits: { bodyBytesMax, queueMax: 16 },
    models: () =>
      models.map(({ languages, files }) => ({
        id: modelId(languages),
        domains: ["ocr"],
        state: "loaded",
        size_bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      })),
    handlers: { ocr: (request) => answer(request, { settings, threads, models }) },
    async start({ signal, check }) {
      const found = await findLanguages(settings.languages, settings.dataDirectory);
      const [first] = found.models;
      if (first === undefined) throw new NexusError("not_ready", found.problems.join(" "));
      await threads.read({ ...settings, model: first, document: undefined }, signal);
      models = found.models;
      const said = `Reads ${models.map(({ languages }) => languages).join(", ")}.`;
      check("languages", { status: "ok", reason: [said, ...found.problems].join(" ") });
    },
    stop: () => threads.close(),
  });
}

interface Parts {
  readonly settings: OcrSettings;
  readonly threads: ReadingThreads;
  readonly models: readonly LanguageModel[];
}

async function answer({ body, signal }: ServiceRequest, { settings, threads, models }: Parts) {
  const model = models.find(({ languages }) => modelId(languages) === body.model);
  // The kit has checked the name against this very list.
  if (model === undefined) throw new RangeError("a model that is listed is gone");
  const document = parseOcrRequest(body, settings);
  const size = document.bytes.length;
  const pages = await threads.read({ ...settings, model, document }, signal);
  return json({
    pages: pages.map(toMistralPage),
    model: body.model,
    document_annotation: null,
    usage_info: { pages_processed: pages.length, doc_size_bytes: size },
  });
}

/** Mistral's page, and the lines besides. */
function toMistralPage({ index, markdown, lines, width, height, dpi }: ReadPage) {
  return { index, markdown, images: [], dimensions: { dpi, height, width }, lines };
}
