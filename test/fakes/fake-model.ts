import type { Domain } from "../../src/contract/metadata.ts";

/** One model of a fake server; each kind shows the fields that its real server would. */
export interface FakeModel {
  readonly id: string;
  readonly kind: Domain;
  /** A request to an `available` model loads it first, as the real servers do, and counts as a load. */
  readonly state: "loaded" | "loading" | "available";
  /** Tokens the model was trained for. */
  readonly contextTrained: number;
  /** Tokens the server runs it with. */
  readonly contextLoaded: number;
  readonly embeddingDim: number;
  readonly tools: boolean;
  readonly vision: boolean;
  readonly reasoning: boolean;
  readonly sizeBytes: number;
  readonly vramBytes: number;
  /** 64 hex digits; differs when the weights differ. */
  readonly digest: string;
}

/** A loaded chat model without special talents; `model` replaces what a test cares about. */
export function makeFakeModel(model: Partial<FakeModel> & { id: string }): FakeModel {
  return {
    kind: "chat",
    state: "loaded",
    contextTrained: 131_072,
    contextLoaded: 4_096,
    embeddingDim: 8,
    tools: false,
    vision: false,
    reasoning: false,
    sizeBytes: 1_321_098_329,
    vramBytes: 1_800_000_000,
    digest: digestOf(model.id),
    ...model,
  };
}

function digestOf(id: string): string {
  let hash = 0x811c9dc5;
  for (const letter of id) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0").repeat(8);
}
