import { invalidField, isGiven, isObject, type JsonObject, requiredObject, requiredText } from "./request-fields.ts";
import type { ResponseItem } from "./responses-object.ts";

/**
 * The items of a request, each with an id, for a store that lists them.
 * @throws NexusError `invalid_request` when `input` is neither text nor items.
 */
export function storableInput(request: JsonObject, newId: (prefix: string) => string): readonly ResponseItem[] {
  return inputItems(request).map((item) => {
    const type = typeof item.type === "string" ? item.type : "message";
    const id = typeof item.id === "string" && item.id !== "" ? item.id : newId(idPrefixes[type] ?? "item");
    const content = typeof item.content === "string" ? { content: [textPart(item)] } : {};
    return { ...item, ...content, id, type };
  });
}

const idPrefixes: Readonly<Record<string, string>> = {
  message: "msg",
  reasoning: "rs",
  function_call: "fc",
  function_call_output: "fco",
};

function textPart({ role, content }: JsonObject): JsonObject {
  return role === "assistant"
    ? { type: "output_text", text: content, annotations: [] }
    : { type: "input_text", text: content };
}

/** Ids of stored items that a request names instead of giving them. */
export function itemReferences(request: JsonObject): readonly string[] {
  if (!Array.isArray(request.input)) return [];
  return request.input.flatMap((item, index) =>
    isReference(item) ? [requiredText(item.id, `input[${index}].id`)] : [],
  );
}

/**
 * The request with everything that it builds on: the items of the conversation before it, the oldest first, and items
 * in place of references to them. `previous_response_id` stays, for the answer to repeat.
 * @throws NexusError `invalid_request` with the path of a reference to an item that is not among `referenced`.
 */
export function withHistory(
  request: JsonObject,
  history: readonly JsonObject[],
  referenced: ReadonlyMap<string, JsonObject> = new Map(),
): JsonObject {
  if (history.length === 0 && itemReferences(request).length === 0) return request;
  const own = inputItems(request).map((item, index) => {
    if (!isReference(item)) return item;
    const found = referenced.get(String(item.id));
    if (found === undefined) throw invalidField(`input[${index}].id`, "the id of an item that is stored");
    return found;
  });
  return { ...request, input: [...history, ...own] };
}

/**
 * A request with its history, for a backend that speaks Responses itself: what is stored here it does not know, and
 * need not store again.
 */
export function withoutStore(request: JsonObject): JsonObject {
  const { previous_response_id: _, ...rest } = request;
  return { ...rest, store: false };
}

function inputItems({ input }: JsonObject): readonly JsonObject[] {
  if (typeof input === "string") return [{ type: "message", role: "user", content: input }];
  if (!Array.isArray(input)) throw invalidField("input", "a string or a list of items");
  return input.map((item, index) => requiredObject(item, `input[${index}]`));
}

/** Clients leave out the type of a reference: an id and nothing else is one, too. */
function isReference(item: unknown): item is JsonObject {
  if (!isObject(item)) return false;
  if (item.type === "item_reference") return true;
  return !isGiven(item.type) && !isGiven(item.role) && isGiven(item.id);
}

/** Which part of a list a client asks for. */
export interface ItemPageQuery {
  readonly limit?: string | undefined;
  readonly order?: string | undefined;
  /** Id of the item before the first one. */
  readonly after?: string | undefined;
}

const pageItemsMax = 100;
const pageItemsUsual = 20;

/**
 * One page of items, the newest first unless `order` is `asc`, as OpenAI's lists are.
 * @throws NexusError `invalid_request`
 */
export function listItems(items: readonly ResponseItem[], query: ItemPageQuery): object {
  const limit = query.limit === undefined ? pageItemsUsual : Number(query.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > pageItemsMax) {
    throw invalidField("limit", `a number from 1 to ${pageItemsMax}`);
  }
  if (query.order !== undefined && query.order !== "asc" && query.order !== "desc") {
    throw invalidField("order", '"asc" or "desc"');
  }
  const ordered = query.order === "asc" ? items : items.toReversed();
  const before = query.after === undefined ? -1 : ordered.findIndex(({ id }) => id === query.after);
  if (query.after !== undefined && before === -1) throw invalidField("after", "the id of an item of this list");
  const data = ordered.slice(before + 1, before + 1 + limit);
  return {
    object: "list",
    data,
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: before + 1 + data.length < ordered.length,
  };
}
