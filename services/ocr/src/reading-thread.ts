import { parentPort } from "node:worker_threads";
import { describeError, NexusError } from "nexus/base";
import { readPictureHead } from "nexus/service-kit";
import type { OcrDocument } from "./ocr-request.ts";
import { choosePages } from "./page-choice.ts";
import { openPdf } from "./pdf-pages.ts";

import type { ReadJob, ReadMessage, ReadPage } from "./reading.ts";
import { createRecogniser, type Recogniser } from "./recogniser.ts";

/** The entry of a reading thread: one job at a time, until somebody ends the thread. */

const port = parentPort;
if (port === null) throw new Error("this file runs as a thread only");

let recogniser: Promise<Recogniser> | undefined;
const say = (message: ReadMessage): void => port.postMessage(message);

port.on("message", (job: ReadJob) => {
  run(job).catch((error: unknown) => say(toFailure(error)));
});

async function run(job: ReadJob): Promise<void> {
  recogniser ??= createRecogniser();
  const reader = await recogniser;
  await reader.use(job.model);
  if (job.document?.kind === "pdf") await readPdf(reader, job.document, job);
  else if (job.document !== undefined) readPicture(reader, job.document, job);
  say({ kind: "done" });
}

async function readPdf(reader: Recogniser, document: OcrDocument, { pagesMax, pixelsMax }: ReadJob): Promise<void> {
  const pdf = await openPdf(document.bytes, pixelsMax);
  for (const index of choosePages(document.pages, pdf.pageCount, pagesMax)) {
    const { width, height, ...picture } = await pdf.render(index);
    const page = reader.read({ ...picture, orientation: 1 });
    if (page === undefined) throw new Error(`page ${index} was drawn and cannot be read`);
    sayPage({ ...page, index, width, height, dpi: picture.dpi });
  }
  pdf.close();
}

function readPicture(reader: Recogniser, { bytes, orientation, pages }: OcrDocument, { pagesMax }: ReadJob): void {
  const head = readPictureHead(bytes);
  const page = reader.read({ bytes, orientation, dpi: undefined });
  if (head === undefined || page === undefined) {
    throw new NexusError(
      "invalid_request",
      "The picture cannot be unpacked: it is broken, or of a kind that is not read here.",
      { param: "document" },
    );
  }
  const isTurned = orientation >= 5;
  const [width, height] = isTurned ? [head.height, head.width] : [head.width, head.height];
  for (const index of choosePages(pages, 1, pagesMax)) sayPage({ ...page, index, width, height, dpi: unknownDpi });
}

/** What a picture has by convention that does not say it. */
const unknownDpi = 72;

function sayPage(page: ReadPage): void {
  say({ kind: "page", page });
}

function toFailure(error: unknown): ReadMessage {
  const detail = describeError(error);
  if (error instanceof NexusError)
    return { kind: "failed", code: error.code, message: error.message, param: error.param, detail };
  const message = "The document could not be read. If it is whole, it is beyond this service.";
  return { kind: "failed", code: "backend_error", message, param: null, detail };
}
