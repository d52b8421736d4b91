import { PDFiumLibrary } from "@hyzyla/pdfium";
import { NexusError } from "nexus/base";

/** One page as a grey picture. */
export interface RenderedPage {
  /** A PGM file. */
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly dpi: number;
}

export interface PdfDocument {
  readonly pageCount: number;
  render(page: number): Promise<RenderedPage>;
  close(): void;
}

/** Between the 150 at which small print breaks and the 300 of scanners, which takes twice the time for little more. */
const wantedDpi = 200;
const pointsPerInch = 72;

let library: Promise<PDFiumLibrary> | undefined;

/**
 * Opens a PDF. Pages that would have more than `pixelsMax` pixels are drawn smaller.
 * @throws NexusError `invalid_request` for what is broken or locked.
 */
export async function openPdf(bytes: Uint8Array, pixelsMax: number): Promise<PdfDocument> {
  library ??= PDFiumLibrary.init();
  const document = await (await library).loadDocument(bytes).catch((error: unknown) => {
    const isLocked = error instanceof Error && /password/i.test(error.message);
    const message = isLocked ? "The PDF is locked with a password." : "The PDF is broken: it cannot be opened.";
    throw new NexusError("invalid_request", message, { param: "document", cause: error });
  });
  return {
    pageCount: document.getPageCount(),
    async render(index) {
      const page = document.getPage(index);
      const { originalWidth, originalHeight } = page.getOriginalSize();
      const largest = Math.sqrt(pixelsMax / Math.max(1, originalWidth * originalHeight));
      const scale = Math.min(wantedDpi / pointsPerInch, largest);
      const drawn = await page.render({ scale, colorSpace: "Gray", render: async ({ data }) => data });
      const { width, height, data } = drawn;
      const head = Buffer.from(`P5\n${width} ${height}\n255\n`);
      return { bytes: Buffer.concat([head, data]), width, height, dpi: Math.max(1, Math.round(scale * pointsPerInch)) };
    },
    close: () => document.destroy(),
  };
}
