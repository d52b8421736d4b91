import { NexusError } from "../base/errors.ts";
import { type JsonObject, optionalText } from "../translate/request-fields.ts";
import { itemsOf, type ResponseStore, type StoredResponse } from "../translate/response-store.ts";
import { isFinished } from "../translate/responses-background.ts";
import {
  type ItemPageQuery,
  itemReferences,
  listItems,
  storableInput,
  withHistory,
} from "../translate/responses-history.ts";
import type { ResponseItem } from "../translate/responses-object.ts";

/** How long a conversation may become that is told to a model again with each request. */
export interface ConversationLimits {
  /** Answers one after the other. */
  readonly depthMax: number;
  /** Bytes of all their items as JSON. */
  readonly bytesMax: number;
}

/** Longer than any model's context: what does not fit there the model's service refuses. */
export const conversationLimits: ConversationLimits = { depthMax: 500, bytesMax: 16 * 1024 * 1024 };

/** A request that is ready to be served, and what is to be kept of it. */
export interface OpenedRequest {
  /** With the whole conversation as its input. */
  readonly request: JsonObject;
  /** What the client sent now; undefined when nothing is to be stored. */
  readonly input: readonly ResponseItem[] | undefined;
  readonly previousId: string | null;
}

/** OpenAI's stored responses over any store. Every method looks at the answers of one tenant only. */
export class StoredResponses {
  readonly #store: ResponseStore;
  readonly #limits: ConversationLimits;

  constructor(store: ResponseStore, limits: ConversationLimits = conversationLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  /**
   * Reads what a request builds on.
   * @throws NexusError `not_found` when an answer of the conversation, or an item, is not stored (any more).
   */
  async open(tenant: string, request: JsonObject, newId: (prefix: string) => string): Promise<OpenedRequest> {
    const previousId = optionalText(request.previous_response_id, "previous_response_id") ?? null;
    const history = previousId === null ? [] : await this.#historyBefore(tenant, previousId);
    const referenced = new Map<string, ResponseItem>();
    for (const id of new Set(itemReferences(request))) {
      const item = await this.#store.item(tenant, id);
      if (item === undefined) throw notFound(`Item with id '${id.slice(0, 128)}' not found.`, "input");
      referenced.set(id, item);
    }
    // References are resolved before they are stored: what they lead to may be deleted.
    const own = withHistory(request, [], referenced);
    const input = request.store === false ? undefined : storableInput(own, newId);
    return { request: withHistory(own, history), input, previousId };
  }

  /** Keeps a final Response object. Answers whether it is kept. */
  async keep(tenant: string, { input, previousId }: OpenedRequest, response: JsonObject): Promise<boolean> {
    const { id } = response;
    if (input === undefined || typeof id !== "string") return false;
    return this.#store.put(tenant, {
      id,
      previousId,
      // A backend that speaks Responses itself knows nothing of what is stored here.
      response: { ...response, previous_response_id: previousId, store: true },
      input,
    });
  }

  /** `GET /v1/responses/{id}` @throws NexusError `not_found` */
  async retrieve(tenant: string, id: string): Promise<JsonObject> {
    return (await this.#find(tenant, id)).response;
  }

  /** `DELETE /v1/responses/{id}` @throws NexusError `not_found` */
  async remove(tenant: string, id: string): Promise<object> {
    if (!(await this.#store.delete(tenant, id))) throw responseNotFound(id);
    return { id, object: "response", deleted: true };
  }

  /**
   * `GET /v1/responses/{id}/input_items`: all that the model was told, the conversation before it included as far as it
   * is still stored.
   * @throws NexusError `not_found` or `invalid_request`
   */
  async inputItems(tenant: string, id: string, query: ItemPageQuery): Promise<object> {
    const stored = await this.#find(tenant, id);
    const before: StoredResponse[] = [];
    for await (const earlier of this.#chain(tenant, stored.previousId)) {
      if (earlier === undefined) break;
      before.unshift(earlier);
    }
    return listItems([...before.flatMap(itemsOf), ...stored.input], query);
  }

  async #find(tenant: string, id: string): Promise<StoredResponse> {
    const stored = await this.#store.get(tenant, id);
    if (stored === undefined) throw responseNotFound(id);
    return stored;
  }

  /** The items of a conversation up to an answer, the oldest first. */
  async #historyBefore(tenant: string, id: string): Promise<readonly ResponseItem[]> {
    const turns: (readonly ResponseItem[])[] = [];
    for await (const stored of this.#chain(tenant, id)) {
      if (stored === undefined) {
        const which = turns.length === 0 ? `'${id.slice(0, 128)}'` : `'${id.slice(0, 128)}', or one that it builds on,`;
        throw notFound(`Previous response with id ${which} not found.`, "previous_response_id");
      }
      if (!isFinished(stored.response)) {
        throw new NexusError("conflict", `The response '${stored.id}' is still being made. Wait for its end.`, {
          param: "previous_response_id",
        });
      }
      turns.unshift(itemsOf(stored));
    }
    return turns.flat();
  }

  /** Answers from an id back to the first of its conversation; ends with undefined where one is missing. */
  async *#chain(tenant: string, from: string | null): AsyncGenerator<StoredResponse | undefined> {
    let bytes = 0;
    for (let id = from, depth = 1; id !== null; depth++) {
      const stored: StoredResponse | undefined = await this.#store.get(tenant, id);
      bytes += stored === undefined ? 0 : Buffer.byteLength(JSON.stringify(itemsOf(stored)));
      if (depth > this.#limits.depthMax || bytes > this.#limits.bytesMax) {
        throw new NexusError("invalid_request", "The conversation is too long. Begin a new one with what matters.", {
          param: "previous_response_id",
        });
      }
      yield stored;
      id = stored?.previousId ?? null;
    }
  }
}

function responseNotFound(id: string): NexusError {
  return notFound(`Response with id '${id.slice(0, 128)}' not found.`);
}

function notFound(message: string, param?: string): NexusError {
  return new NexusError("not_found", message, param === undefined ? {} : { param });
}
