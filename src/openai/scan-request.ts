import { isUtf8 } from "node:buffer";
import { NexusError } from "../base/errors.ts";
import { JsonScanner, JsonSyntaxError, type MemberListener } from "./json-scanner.ts";

/** What routing needs to know of a request body. The body itself is passed on as the bytes that came in. */
export interface RequestScan {
  /** The model that the client asked for; empty when it left that open, where it may. */
  readonly model: string;
  /** Where its JSON value stands in the body, so that it can be replaced in place; empty where a member must go in. */
  readonly modelSpan: { readonly start: number; readonly end: number };
  readonly stream: boolean;
  /** What an instance must be able to do beyond the operation itself. */
  readonly needs: FeatureNeeds;
  /** Whether the prompt carries pictures, sound or files: then its bytes say nothing about its tokens. */
  readonly hasAttachments: boolean;
  /** Where the conversation, prompt or input stands in the body; undefined when there is none. */
  readonly promptSpan: { readonly start: number; readonly end: number } | undefined;
  /** Tokens that the answer may have; undefined when the client leaves it open. */
  readonly answerTokensMax: number | undefined;
  /** Whether the client says anything about its stream, such as whether it wants to know what was used. */
  readonly hasStreamOptions: boolean;
}

export type FeatureNeeds = {
  readonly tools: boolean;
  readonly vision: boolean;
  readonly json_schema: boolean;
};

/** Keys of a message part that carries an image, in chat completions and in responses. */
const imageKeys = new Set(["image_url", "input_image"]);
/** Keys of parts that carry anything but text, in the dialects that are understood. */
const attachmentKeys = new Set([
  ...imageKeys,
  ...["images", "source", "input_audio", "audio_url", "video_url", "file", "file_data", "file_id", "image"],
]);
/** What Anthropic's messages say in place of such a key: `{"type": "image", "source": {...}}`. */
const imageType = Buffer.from('"image"');
/** Members of the body that hold them. Elsewhere, in the schema of a tool say, such a key means nothing. */
const messageKeys = new Set(["messages", "input"]);
/**
 * Where a request says that its answer shall follow a schema, and in which member of that: chat completions, Anthropic's
 * messages and their first version, responses.
 */
const formats: readonly { readonly key: string; readonly inner?: string }[] = [
  { key: "response_format" },
  { key: "output_config", inner: "format" },
  { key: "output_format" },
  { key: "text", inner: "format" },
];
/** Members of the body that decide where it goes. Twice the same one is refused: two parsers could differ. */
const decisiveKeys = new Set(["model", "stream", "tools", ...formats.map(({ key }) => key)]);

/** Members that tell how much work it is. Who reads another of two only plans worse. */
const promptKeys = ["messages", "prompt", "input"] as const;
const answerKeys = ["max_completion_tokens", "max_output_tokens", "max_tokens"] as const;
const streamOptionsKey = "stream_options";
const notedKeys: ReadonlySet<string> = new Set([...decisiveKeys, ...promptKeys, ...answerKeys, streamOptionsKey]);

interface Member {
  readonly start: number;
  readonly end: number;
}

export interface ScanOptions {
  /** Whether `model` may be absent or null. Default false. */
  readonly isModelOptional?: boolean | undefined;
}

/**
 * Reads a request body once, without building values.
 * @throws NexusError `invalid_json`, `missing_model` or `invalid_request`, with the field at fault.
 */
export function scanRequest(body: Buffer, { isModelOptional = false }: ScanOptions = {}): RequestScan {
  const { members, hasImages, hasAttachments } = scanMembers(body);
  const model = (isModelOptional && openModel(body, members.get("model"))) || readModel(body, members.get("model"));
  return {
    model: model.id,
    modelSpan: model.span,
    stream: readBoolean(body, members.get("stream"), "stream"),
    needs: {
      tools: hasTools(body, members.get("tools")),
      vision: hasImages,
      json_schema: formats.some(({ key, inner }) => wantsJsonSchema(body, members.get(key), inner)),
    },
    hasAttachments,
    promptSpan: promptKeys.map((key) => members.get(key)).find((member) => member !== undefined),
    answerTokensMax: readLimit(
      body,
      answerKeys.map((key) => members.get(key)).find((member) => member !== undefined),
    ),
    hasStreamOptions: members.has(streamOptionsKey),
  };
}

/** The same body with another model id in place of the one that was found, or where none was. */
export function replaceModel(body: Buffer, scan: Pick<RequestScan, "model" | "modelSpan">, model: string): Buffer {
  if (model === scan.model) return body;
  const { start, end } = scan.modelSpan;
  const value = JSON.stringify(model);
  const text = start < end ? value : `"model":${value}${isLastMember(body, end) ? "" : ","}`;
  return Buffer.concat([body.subarray(0, start), Buffer.from(text), body.subarray(end)]);
}

/** Whether nothing but the end of the object follows. */
function isLastMember(body: Buffer, at: number): boolean {
  return body[new JsonScanner(body, () => {}).space(at)] === 0x7d;
}

interface Members {
  readonly members: ReadonlyMap<string, Member>;
  readonly hasImages: boolean;
  readonly hasAttachments: boolean;
}

function scanMembers(body: Buffer): Members {
  if (body.length === 0) throw new NexusError("invalid_json", "The request has no body: send a JSON object.");
  if (!isUtf8(body)) throw new NexusError("invalid_json", "The body is not valid UTF-8.");
  const members = new Map<string, Member>();
  let topLevelKey = "";
  let hasImages = false;
  let hasAttachments = false;
  const onMember: MemberListener = (keyStart, keyEnd, valueStart, depth) => {
    if (depth > 1 && !messageKeys.has(topLevelKey)) return;
    const key = readKey(body, keyStart, keyEnd);
    if (depth > 1) {
      hasImages ||= imageKeys.has(key) || (key === "type" && startsAt(body, valueStart, imageType));
      hasAttachments ||= attachmentKeys.has(key);
      return;
    }
    topLevelKey = key;
    if (!notedKeys.has(key)) return;
    if (members.has(key) && decisiveKeys.has(key))
      throw new NexusError("invalid_request", `'${key}' appears twice.`, { param: key });
  };
  const scanner = new JsonScanner(body, onMember, (start, end, depth) => {
    if (depth === 1 && notedKeys.has(topLevelKey)) members.set(topLevelKey, { start, end });
  });
  try {
    scanner.document();
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new NexusError("invalid_json", `The body is not valid JSON: ${error.message}.`, { cause: error });
  }
  if (body[scanner.space(0)] !== 0x7b) throw new NexusError("invalid_json", "The body must be a JSON object.");
  return { members, hasImages, hasAttachments };
}

function startsAt(body: Buffer, at: number, text: Buffer): boolean {
  return body.compare(text, 0, text.length, at, Math.min(at + text.length, body.length)) === 0;
}

/** A key of n characters takes at most 6n bytes, when each is written as \uXXXX, and two quotes. */
const keyBytesMax = 2 + 6 * Math.max(...[...attachmentKeys, ...messageKeys, ...notedKeys].map((key) => key.length));

/** The member's name with its escapes decoded, or an empty string when it is too long to be one that matters. */
function readKey(body: Buffer, start: number, end: number): string {
  if (end - start > keyBytesMax) return "";
  const text = body.toString("utf8", start + 1, end - 1);
  return text.includes("\\") ? String(JSON.parse(`"${text}"`)) : text;
}

/** Where a model that was left open stands, or would: right behind the opening brace. */
function openModel(body: Buffer, member: Member | undefined): { id: string; span: Member } | undefined {
  const at = body.indexOf("{") + 1;
  if (member === undefined) return { id: "", span: { start: at, end: at } };
  return body.toString("latin1", member.start, member.end) === "null" ? { id: "", span: member } : undefined;
}

function readModel(body: Buffer, member: Member | undefined): { id: string; span: Member } {
  const help = "`model` must be a non-empty string; GET /v1/models lists what there is.";
  if (member === undefined) throw new NexusError("missing_model", help, { param: "model" });
  const value: unknown = JSON.parse(body.toString("utf8", member.start, member.end));
  if (typeof value !== "string" || value === "") throw new NexusError("missing_model", help, { param: "model" });
  if (value.length > 256) {
    throw new NexusError("invalid_request", "`model` is longer than 256 characters.", { param: "model" });
  }
  return { id: value, span: member };
}

function readBoolean(body: Buffer, member: Member | undefined, name: string): boolean {
  if (member === undefined) return false;
  const text = body.toString("utf8", member.start, Math.min(member.end, member.start + 8));
  if (text === "true") return true;
  if (text === "false" || text === "null") return false;
  throw new NexusError("invalid_request", `'${name}' must be true or false.`, { param: name });
}

/** Numbers longer than this are none that mean anything here. */
const digitsMax = 10;

function readLimit(body: Buffer, member: Member | undefined): number | undefined {
  if (member === undefined || member.end - member.start > digitsMax) return undefined;
  const limit = Number(body.toString("latin1", member.start, member.end));
  return Number.isInteger(limit) && limit > 0 ? limit : undefined;
}

/** An empty list or null asks for nothing. */
function hasTools(body: Buffer, member: Member | undefined): boolean {
  if (member === undefined || body[member.start] !== 0x5b) return false;
  for (let at = member.start + 1; at < member.end - 1; at++) if ((body[at] ?? 0) > 0x20) return true;
  return false;
}

/** `inner`: the member of it that says so; undefined where it is said at its top. */
function wantsJsonSchema(body: Buffer, member: Member | undefined, inner: string | undefined): boolean {
  if (member === undefined || body[member.start] !== 0x7b) return false;
  const value = JSON.parse(body.toString("utf8", member.start, member.end)) as Record<string, unknown>;
  const format = (inner === undefined ? value : value[inner]) as { type?: unknown } | null | undefined;
  return format?.type === "json_schema";
}
