import { NexusError } from "nexus/base";
import { describeIssues } from "nexus/contract";
import { readPictureHead } from "nexus/service-kit";
import { z } from "zod";
import { type PageChoice, parsePageChoice } from "./page-choice.ts";

import type { OcrSettings } from "./settings.ts";

const page = z.int().min(0).max(999_999);
const requestSchema = z.looseObject({
  document: z.discriminatedUnion("type", [
    z.looseObject({ type: z.literal("document_url"), document_url: z.string() }),
    z.looseObject({
      type: z.literal("image_url"),
      image_url: z.union([z.string(), z.looseObject({ url: z.string() })]),
    }),
  ]),
  pages: z.union([page, z.array(page).min(1), z.string()]).nullish(),
});

/** A document that is known to be of a kind that can be read, and of a size that may be. */
export interface OcrDocument {
  readonly kind: "pdf" | "picture";
  /** In memory of its own: it can be handed to a thread. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly orientation: number;
  readonly pages: PageChoice;
}

function wrong(message: string): NexusError {
  return new NexusError("invalid_request", message, { param: "document" });
}

/**
 * @throws NexusError `invalid_request` that names the field at fault; `unsupported_feature` for a document that lives
 * elsewhere, `request_too_large` for a picture that unpacks to more than it may.
 */
export function parseOcrRequest(
  body: unknown,
  { pagesMax, pixelsMax }: Pick<OcrSettings, "pagesMax" | "pixelsMax">,
): OcrDocument {
  const result = requestSchema.safeParse(body);
  if (!result.success) {
    const param = result.error.issues[0]?.path[0];
    throw new NexusError(
      "invalid_request",
      describeIssues(result.error),
      param === undefined ? {} : { param: String(param) },
    );
  }
  const { document, pages } = result.data;
  const bytes = readDataUrl(urlOf(document));
  const choice = parsePageChoice(pages ?? null, pagesMax);
  if (isPdf(bytes)) return { kind: "pdf", bytes, orientation: 1, pages: choice };
  const head = readPictureHead(bytes);
  if (head === undefined) throw wrong("The document is no PDF, and no PNG, JPEG, WebP or BMP picture.");
  if (head.width * head.height > pixelsMax) {
    throw new NexusError(
      "request_too_large",
      `The picture has ${head.width} x ${head.height} pixels; ${pixelsMax / 1e6} million are the limit.`,
      { param: "document" },
    );
  }
  return { kind: "picture", bytes, orientation: head.orientation, pages: choice };
}

function urlOf(document: z.output<typeof requestSchema>["document"]): string {
  if (document.type === "document_url") return document.document_url;
  return typeof document.image_url === "string" ? document.image_url : document.image_url.url;
}

/** Fetching addresses that clients choose would let them look around in the owner's network. */
function readDataUrl(url: string): Uint8Array<ArrayBuffer> {
  if (!url.startsWith("data:")) {
    throw new NexusError(
      "unsupported_feature",
      "This service fetches no addresses. Send the document itself: data:application/pdf;base64,...",
      { param: "document" },
    );
  }
  const comma = url.indexOf(",");
  if (comma < 0 || !url.slice(0, comma).toLowerCase().endsWith(";base64"))
    throw wrong("A data: URL must be in base64.");
  return new Uint8Array(Buffer.from(url.slice(comma + 1), "base64"));
}

/** Readers of PDF allow some bytes before the header. */
const pdfHeaderWithin = 1024;

function isPdf(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, pdfHeaderWithin)).includes("%PDF-");
}
