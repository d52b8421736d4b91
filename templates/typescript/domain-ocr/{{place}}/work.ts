import type { Work } from "nexus/service-kit";

/** Says what kind of picture it is, and how large. Put a model here. */
export const work: Work<"ocr"> = ({ document, type }) => {
  const bytes = Buffer.from(document);
  const isPng = bytes.toString("latin1", 1, 4) === "PNG" && bytes.length >= 24;
  const size = isPng ? `${bytes.readUInt32BE(16)} by ${bytes.readUInt32BE(20)} pixels` : `${bytes.length} bytes`;
  return [{ markdown: `A document of type ${type}: ${size}.` }];
};
