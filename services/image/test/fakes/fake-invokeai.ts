import type { TestContext } from "node:test";
import { type FakeServer, fixture, type Heard, type Json, type Said, shade, startFake } from "./fake-http.ts";

export interface FakeInvokeAi extends FakeServer {
  /** Batches that were cancelled. */
  readonly cancelled: string[];
  /** Pictures that are still kept. */
  readonly kept: Set<string>;
}

/** InvokeAI as far as its API is used: an item is in progress at the first look and completed at the second. */
export async function startFakeInvokeAi(
  t: TestContext,
  { isQuick = true }: { readonly isQuick?: boolean } = {},
): Promise<FakeInvokeAi> {
  const cancelled: string[] = [];
  const kept = new Set<string>();
  const looks: number[] = [];
  let sent = 0;
  const itemOf = (id: number): Json => {
    looks[id] = (looks[id] ?? 0) + 1;
    const batch = `batch-${id}`;
    const item = fixture("invokeai-item", { BATCH_ID: batch, IMAGE_NAME: `made-${id}.png` });
    if (cancelled.includes(batch)) return { ...item, status: "canceled", session: { results: {} } };
    const isDone = isQuick && (looks[id] ?? 0) > 1;
    if (isDone) kept.add(`made-${id}.png`);
    return isDone
      ? { ...item, item_id: id }
      : { ...item, item_id: id, status: "in_progress", session: { results: {} } };
  };
  const answer = ({ route, json, form }: Heard): Said | undefined => {
    const [, id] = /^GET \/api\/v1\/queue\/default\/i\/(\d+)$/.exec(route) ?? [];
    if (id !== undefined) return itemOf(Number(id));
    const [, method, name = ""] = /^(GET|DELETE) \/api\/v1\/images\/i\/([^/]+)/.exec(route) ?? [];
    if (method === "DELETE") return kept.delete(name) ? 200 : 404;
    if (method === "GET") return kept.has(name) ? shade(Number(/\d+/.exec(name)) + 1) : 404;
    switch (route) {
      case "GET /api/v1/app/version":
        return { version: "6.2.0" };
      case "GET /api/v2/models/":
        return fixture("invokeai-models");
      case "POST /api/v1/images/upload":
        return form?.get("file") instanceof File ? { image_name: `sent-${++sent}.png`, width: 16, height: 16 } : 422;
      case "POST /api/v1/queue/default/enqueue_batch": {
        looks.push(0);
        const enqueued = fixture("invokeai-enqueued", { BATCH_ID: `batch-${looks.length - 1}` });
        return { ...enqueued, item_ids: [looks.length - 1] };
      }
      case "PUT /api/v1/queue/default/cancel_by_batch_ids":
        cancelled.push(...json.batch_ids);
        return { canceled: json.batch_ids.length };
    }
    return undefined;
  };
  return { ...(await startFake(t, answer)), cancelled, kept };
}
