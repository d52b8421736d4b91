import type OpenAI from "openai";
import { toFile } from "openai";
import type { Batch } from "openai/resources/batches";
import type { FakeBackend } from "../fakes/fake-backend.ts";
import { waitFor } from "./wait-for.ts";

export const endpoint = "/v1/chat/completions";

/** A line of a batch's file. */
export function line(customId: string, body: object = {}): object {
  const messages = [{ role: "user", content: customId }];
  return { custom_id: customId, method: "POST", url: endpoint, body: { model: "tiny", messages, ...body } };
}

export const lines = (count: number, from = 0) => Array.from({ length: count }, (_, at) => line(`line-${from + at}`));
export const toJsonLines = (values: readonly (object | string)[]) =>
  values.map((value) => `${typeof value === "string" ? value : JSON.stringify(value)}\n`).join("");

export interface Result {
  readonly id: string;
  readonly custom_id: string | null;
  readonly response: { status_code: number; request_id: string; body: { choices?: unknown[]; error?: unknown } } | null;
  readonly error: { code: string; line: number } | null;
}

export async function resultsIn(client: OpenAI, fileId: string | null | undefined): Promise<readonly Result[]> {
  if (typeof fileId !== "string") return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .split("\n")
    .filter((one) => one !== "")
    .map((one) => JSON.parse(one) as Result);
}

export async function handIn(client: OpenAI, values: readonly (object | string)[]): Promise<Batch> {
  const file = await client.files.create({
    file: await toFile(Buffer.from(toJsonLines(values)), "batch.jsonl"),
    purpose: "batch",
  });
  return await client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h" });
}

export const whenIs = (client: OpenAI, id: string, status: Batch["status"]) =>
  waitFor(`the batch is ${status}`, async () => {
    const batch = await client.batches.retrieve(id);
    return batch.status === status ? batch : undefined;
  });

/** What the backend was asked, by the ids of the lines. */
export const askedIds = (backend: FakeBackend) =>
  backend.requests
    .filter(({ operation }) => operation === "chat.completions.create")
    .map(({ body }) => messagesIn(body)[0]?.content ?? "");

export const messagesIn = (body: Record<string, unknown> | undefined) =>
  (body?.messages ?? []) as { content: string }[];
