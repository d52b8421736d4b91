import { NexusError } from "../../src/base/errors.ts";
import type { RealtimeEvent, RealtimeHandler, RealtimeRequest } from "../../src/service-kit/index.ts";
import type { Pace } from "./good-service.ts";

const words = ["green", " and", " so", " on"];

/** Talks as OpenAI's Realtime API does, in text. `pace` is awaited before each word. */
export function goodRealtime(pace: Pace = async () => {}): RealtimeHandler {
  return async ({ socket, model, signal }: RealtimeRequest) => {
    const session: Record<string, unknown> = { type: "realtime", object: "realtime.session", model };
    await socket.send({ type: "session.created", session });
    let answering: AbortController | undefined;
    let answers = 0;

    const answer = async (stop: AbortSignal): Promise<void> => {
      const id = `resp_${++answers}`;
      const place = { response_id: id, item_id: `item_${answers}`, output_index: 0, content_index: 0 };
      await socket.send({
        type: "response.created",
        response: { object: "realtime.response", id, status: "in_progress" },
      });
      let text = "";
      for (const [index, delta] of words.entries()) {
        await pace(index, AbortSignal.any([signal, stop])).catch((error: unknown) => {
          if (signal.aborted) throw error;
        });
        if (stop.aborted) break;
        text += delta;
        await socket.send({ type: "response.output_text.delta", ...place, delta });
      }
      await socket.send({ type: "response.output_text.done", ...place, text });
      const usage = { input_tokens: 1, output_tokens: words.length, total_tokens: 1 + words.length };
      const status = stop.aborted ? "cancelled" : "completed";
      const item = { id: place.item_id, type: "message", role: "assistant", content: [{ type: "output_text", text }] };
      const response = { object: "realtime.response", id, status, output: [item], usage };
      answering = undefined;
      await socket.send({ type: "response.done", response });
    };

    const hear = async (event: RealtimeEvent): Promise<void> => {
      if (event.type === "session.update") {
        Object.assign(session, event.session);
        return await socket.send({ type: "session.updated", session });
      }
      if (event.type === "conversation.item.create") {
        return await socket.send({ type: "conversation.item.added", previous_item_id: null, item: event.item });
      }
      if (event.type === "response.cancel") return answering?.abort();
      if (event.type !== "response.create") return await socket.refuse(event, unknown(event.type));
      if (answering !== undefined) return await socket.refuse(event, busy);
      answering = new AbortController();
      socket.waitUntil(answer(answering.signal));
    };

    for await (const event of socket.events) await hear(event);
  };
}

const unknown = (type: string): NexusError =>
  new NexusError("invalid_request", `There is no event \`${type.slice(0, 64)}\`.`, { param: "type" });
const busy = new NexusError("conflict", "An answer is under way: cancel it, or wait for its end.");
