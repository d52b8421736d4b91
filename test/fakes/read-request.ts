import type { IncomingMessage } from "node:http";
import { operationAt } from "./fake-operations.ts";
import type { FakeForm, FakeRequest } from "./fake-surface.ts";

/** A request with its body, as a fake server keeps it. */
export async function readRequest(message: IncomingMessage): Promise<FakeRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const url = new URL(message.url ?? "/", "http://fake");
  const method = message.method ?? "GET";
  const operation = operationAt(method, url.pathname);
  return {
    method,
    path: url.pathname,
    query: url.searchParams,
    headers: message.headers,
    bytes,
    body: parseObject(bytes),
    form: await parseForm(bytes, message.headers["content-type"] ?? ""),
    operation,
    generation: operation !== undefined && method === "POST",
    aborted: false,
    finished: false,
  };
}

function parseObject(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Read by Node's own reader, not by the one that is under test. */
async function parseForm(bytes: Buffer, contentType: string): Promise<FakeForm | undefined> {
  if (!contentType.startsWith("multipart/form-data")) return undefined;
  const headers = { "content-type": contentType };
  const form = await new Response(new Uint8Array(bytes), { headers }).formData().catch(() => undefined);
  if (form === undefined) return undefined;
  const fields: FakeForm["fields"][number][] = [];
  const files: FakeForm["files"][number][] = [];
  for (const [name, value] of form) {
    if (typeof value === "string") fields.push({ name, value });
    else {
      const content = Buffer.from(await value.arrayBuffer());
      files.push({ name, filename: value.name, contentType: value.type, bytes: content });
    }
  }
  return { fields, files };
}

/** The JSON body, or the fields of a form, the first of each name; undefined when it is neither. */
export function fieldsOf({ body, form }: FakeRequest): Readonly<Record<string, unknown>> | undefined {
  if (form === undefined) return body;
  return Object.fromEntries([...form.fields].reverse().map(({ name, value }) => [name, value]));
}
