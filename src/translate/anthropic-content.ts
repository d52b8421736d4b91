import {
  invalidField,
  isGiven,
  type JsonObject,
  optionalList,
  optionalText,
  requiredObject,
  requiredText,
  unsupportedField,
} from "./request-fields.ts";

/** One block of content and where the request has it, for messages about it. */
export interface Block {
  readonly block: JsonObject;
  readonly param: string;
}

/** Content as Anthropic takes it: a text, or a list of blocks. @throws NexusError `invalid_request` */
export function readBlocks(content: unknown, param: string): readonly Block[] {
  if (typeof content === "string") return content === "" ? [] : [{ block: { type: "text", text: content }, param }];
  return optionalList(content, param).map((block, index) => ({
    block: requiredObject(block, `${param}[${index}]`),
    param: `${param}[${index}]`,
  }));
}

/**
 * What a user, a document or a tool shows, as parts of a chat message. Citations are not asked for: models that are
 * not Anthropic's have none.
 * @throws NexusError `unsupported_feature` for blocks that only Anthropic's own servers understand.
 */
export function toParts({ block, param }: Block): readonly JsonObject[] {
  switch (block.type) {
    case "text": {
      const text = requiredText(block.text, `${param}.text`);
      return text === "" ? [] : [{ type: "text", text }];
    }
    case "image":
      return [{ type: "image_url", image_url: { url: imageUrl(block, param) } }];
    case "document":
      return documentParts(block, param);
    case "search_result": {
      const head = [block.title, block.source].filter((text) => typeof text === "string").join("\n");
      return withHead(head, readBlocks(block.content, `${param}.content`).flatMap(toParts));
    }
    default:
      throw unsupportedField(`${param}.type`, `Content of the type '${String(block.type)}' cannot be translated.`);
  }
}

/** One text of parts that are all text; else the parts. */
export function contentOf(parts: readonly JsonObject[]): string | readonly JsonObject[] {
  return parts.every(({ type }) => type === "text") ? parts.map(({ text }) => text).join("\n") : parts;
}

function imageUrl(block: JsonObject, param: string): string {
  const source = requiredObject(block.source, `${param}.source`);
  if (source.type === "url") return requiredText(source.url, `${param}.source.url`);
  if (source.type === "base64") {
    const type = requiredText(source.media_type, `${param}.source.media_type`);
    return `data:${type};base64,${requiredText(source.data, `${param}.source.data`)}`;
  }
  throw unsupportedField(`${param}.source.type`, "Images are taken as 'base64' and 'url'; there are no stored files.");
}

function documentParts(block: JsonObject, param: string): readonly JsonObject[] {
  const source = requiredObject(block.source, `${param}.source`);
  const title = optionalText(block.title, `${param}.title`);
  const head = [title, optionalText(block.context, `${param}.context`)].filter(isGiven).join("\n");
  switch (source.type) {
    case "text":
      return withHead(head, [{ type: "text", text: requiredText(source.data, `${param}.source.data`) }]);
    case "content":
      return withHead(head, readBlocks(source.content, `${param}.source.content`).flatMap(toParts));
    case "base64": {
      const type = requiredText(source.media_type, `${param}.source.media_type`);
      const data = `data:${type};base64,${requiredText(source.data, `${param}.source.data`)}`;
      return withHead(head, [{ type: "file", file: { filename: title ?? "document.pdf", file_data: data } }]);
    }
    case "url":
    case "file":
      throw unsupportedField(`${param}.source.type`, "Send the document itself, as 'base64', 'text' or 'content'.");
    default:
      throw invalidField(`${param}.source.type`, '"base64", "text" or "content"');
  }
}

function withHead(head: string, parts: readonly JsonObject[]): readonly JsonObject[] {
  return head === "" ? parts : [{ type: "text", text: head }, ...parts];
}
