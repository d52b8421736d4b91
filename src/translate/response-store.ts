import { isObject, type JsonObject } from "./request-fields.ts";
import type { ResponseItem } from "./responses-object.ts";

/** An answer that can be fetched again, and that later requests can build on. */
export interface StoredResponse {
  readonly id: string;
  /** The answer that this one builds on. */
  readonly previousId: string | null;
  /** The final Response object, as the client got it. */
  readonly response: JsonObject;
  /** What it was an answer to, without the history before it. */
  readonly input: readonly ResponseItem[];
}

/**
 * Keeps answers, each for the tenant that it was made for: an id says nothing to any other. What a limit does not let
 * in, or no longer, is simply not found; what is there comes back exactly as it was put.
 */
export interface ResponseStore {
  /** Answers whether it is kept. */
  put(tenant: string, stored: StoredResponse): Promise<boolean>;
  /** In the place of one that is there. Answers whether it is kept: what was deleted meanwhile stays so. */
  replace(tenant: string, stored: StoredResponse): Promise<boolean>;
  get(tenant: string, id: string): Promise<StoredResponse | undefined>;
  /** Answers whether there was one. */
  delete(tenant: string, id: string): Promise<boolean>;
  /** An item of the input or the output of any answer of the tenant's. */
  item(tenant: string, itemId: string): Promise<ResponseItem | undefined>;
}

/** Input, then output. */
export function itemsOf({ input, response }: StoredResponse): readonly ResponseItem[] {
  const output = Array.isArray(response.output) ? response.output : [];
  return [...input, ...output.filter((item): item is ResponseItem => isObject(item) && typeof item.id === "string")];
}
