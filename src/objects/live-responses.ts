import type { ResponseStore, StoredResponse } from "../translate/response-store.ts";
import { asFailed, isFinished } from "../translate/responses-background.ts";
import type { RunStore } from "./run-store.ts";

const lostMessage = "The gateway that made this answer was stopped before it was done. Ask again.";

/**
 * Stored answers as they stand, those among them that are still being made. What nobody makes any more is failed from
 * then on: nobody waits for it in vain.
 */
export function createLiveResponses(store: ResponseStore, runs: RunStore): ResponseStore {
  return {
    ...store,
    async get(tenant, id) {
      const stored = await store.get(tenant, id);
      if (stored === undefined || isFinished(stored.response)) return stored;
      const status = await runs.find(tenant, id);
      if (status !== undefined) return withStatus(stored, status === "cancelling" ? "in_progress" : status);
      return await afterItsEnd(store, runs, { tenant, stored });
    },
    async delete(tenant, id) {
      // First, so that whoever makes it does not put it there again.
      await runs.remove(tenant, id);
      return await store.delete(tenant, id);
    },
  };
}

function withStatus(stored: StoredResponse, status: string): StoredResponse {
  return { ...stored, response: { ...stored.response, status } };
}

/** Its answer is stored before its run ends: what is not there now will not come. */
async function afterItsEnd(
  store: ResponseStore,
  runs: RunStore,
  { tenant, stored }: { readonly tenant: string; readonly stored: StoredResponse },
): Promise<StoredResponse | undefined> {
  const isNobodys = await runs.takeUp(tenant, stored.id);
  const now = await store.get(tenant, stored.id);
  if (now === undefined || isFinished(now.response) || !isNobodys) return now;
  const failed = { ...now, response: asFailed(now.response, lostMessage) };
  return (await store.replace(tenant, failed)) ? failed : undefined;
}
