import { GgufInsights } from "node-llama-cpp";

/** The method of node-llama-cpp that says what to try a model with; without an answer nothing is tried. */
export const trialMethod = "_resolveSimulatorSource";

/**
 * Keeps node-llama-cpp from loading each model twice more, only to see how much memory it takes: with a vocabulary of
 * 250,000 pieces that costs two thirds of the time of loading, and 150 MB that stay. It estimates from the file's header
 * then. It has no setting for this. Counts for models that are loaded later in the same thread.
 */
export function loadWithoutTrial(): void {
  Reflect.set(GgufInsights.prototype, trialMethod, () => Promise.resolve(null));
}
