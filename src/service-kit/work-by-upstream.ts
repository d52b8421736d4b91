import { NexusError } from "../base/errors.ts";
import type { Domain } from "../contract/metadata.ts";
import { pick } from "./map-fields.ts";
import { isJson, mediaType } from "./read-body.ts";
import type { Upstream } from "./upstream.ts";
import type { UpstreamSettings } from "./upstream-file.ts";
import { badResult } from "./work/read-fields.ts";
import type { Work, WorkContext, WorkDomain } from "./work/work.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Domains whose results are bytes. */
const mediaDomains: ReadonlySet<Domain> = new Set(["image", "speech", "video", "music"]);

/**
 * The work of a domain, done by a server that takes JSON of its own kind: `work` of `upstream.yaml` says what it is sent
 * and where in its answer the result lies. Bytes are the answer itself, or base64 at that place.
 */
export function workByUpstream(
  domain: Domain,
  upstream: Upstream,
  settings: UpstreamSettings,
): { readonly domain: WorkDomain; readonly run: Work<WorkDomain> } {
  const { work, answerBytesMax: bytesMax, timeoutSeconds, stallSeconds, models } = settings;
  if (work === undefined || domain === "agent") throw new RangeError("there is no work to ask for");
  const run = async (asked: unknown, { signal }: WorkContext): Promise<unknown> => {
    const request = asked as Fields;
    const model = models.find(({ id, aliases }) => id === request.model || aliases.includes(String(request.model)));
    const body = fill(work.request, { ...request, model: model?.as ?? request.model });
    const bounds = { bytesMax, timeoutMs: timeoutSeconds * 1000, stallMs: stallSeconds * 1000 };
    const answer = await upstream.fetch(work.path, { json: body, signal, ...bounds });
    const isMedia = mediaDomains.has(domain);
    if (!isJson(mediaType(answer.contentType))) {
      if (isMedia) return answer.bytes;
      if (domain === "chat" || domain === "tool") return answer.bytes.toString("utf8");
    }
    const result = pick(parse(answer.bytes), work.result);
    if (result === undefined) throw badResult(`at \`${work.result}\` of the server's answer`);
    return isMedia && typeof result === "string" ? Buffer.from(result.replace(/^data:[^,]*,/, ""), "base64") : result;
  };
  return { domain, run: run as Work<WorkDomain> };
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new NexusError("backend_error", "The server behind this service answered with no JSON.", {
      source: "service",
      cause: error,
    });
  }
}

/** `$name` becomes the request's field, wherever it stands alone; bytes become base64. */
function fill(template: unknown, request: Fields): unknown {
  if (typeof template === "string" && /^\$[a-z]+$/.test(template)) {
    const value = request[template.slice(1)];
    return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
  }
  if (Array.isArray(template)) return template.map((one) => fill(one, request));
  if (typeof template !== "object" || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, fill(value, request)]));
}
