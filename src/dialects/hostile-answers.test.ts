import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type FakeKind, fakeSurfaces } from "../../test/fakes/fake-backend.ts";
import type { FakeRequest } from "../../test/fakes/fake-surface.ts";
import { modelSchema } from "../contract/metadata.ts";
import { operations } from "../contract/operations.ts";
import { modelsMax } from "./compose-description.ts";
import type { Probe, ProbeAnswer } from "./probe.ts";
import { createDialects } from "./recognise-backend.ts";

/** A value put in the place of one that a real server sent. */
interface Edit {
  readonly place: number;
  readonly value: unknown;
}

const hostileValue = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom(-1, 0, 0.5, 2 ** 53, 1e308, "x".repeat(5_000), "a\u0000b", "__proto__", "", null, [], {}, [[]]),
  fc.constant(Array.from({ length: 1_500 }, (_, index) => ({ id: `m${index}`, name: `m${index}` }))),
);
const edits: fc.Arbitrary<Edit[]> = fc.array(fc.record({ place: fc.nat(200), value: hostileValue }), { maxLength: 4 });

/** The value with the node at one place of it exchanged; places are counted in depth, from the root. */
function withEdit(root: unknown, { place, value }: Edit): unknown {
  let left = place;
  const visit = (node: unknown): unknown => {
    if (left-- === 0) return value;
    if (Array.isArray(node)) return node.map(visit);
    if (typeof node !== "object" || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
  };
  return visit(root);
}

/** A real server of a kind, of which every answer is changed in a few places. */
function hostileProbe(kind: FakeKind, changes: readonly Edit[]): Probe {
  const surface = fakeSurfaces[kind];
  const ask = async (method: string, path: string, body?: object): Promise<ProbeAnswer> => {
    const url = new URL(path, "http://fake");
    const request = { method, path: url.pathname, query: url.searchParams, body } as unknown as FakeRequest;
    const state = { ...surface, slots: 2, unready: false, flags: new Set<string>(), load() {}, generate() {} };
    const { status = 200, body: answer } = surface.answer(request, state) ?? surface.notFound(request);
    const json = typeof answer === "object" ? changes.reduce(withEdit, answer as unknown) : undefined;
    return { status, json, text: "", summary: String(status) };
  };
  return {
    baseUrl: "http://127.0.0.1:1",
    get: (path) => ask("GET", path),
    post: (path, body) => ask("POST", path, body),
    asked: [],
  };
}

describe("every dialect", () => {
  for (const { name } of createDialects()) {
    it(`${name} makes a valid description, or none, of whatever it is told`, async () => {
      let described = 0;
      const property = fc.asyncProperty(edits, async (changes) => {
        // A new one each time: what Ollama has told is remembered.
        const dialect = createDialects().find((candidate) => candidate.name === name);
        await dialect?.recognises(hostileProbe(name, changes));
        const description = await dialect?.describe(hostileProbe(name, changes));
        if (description === undefined) return;
        described += 1;
        assert.ok(description.models.length <= modelsMax);
        for (const model of description.models) assert.deepEqual(modelSchema.parse(model), model);
        assert.equal(new Set(description.models.map(({ id }) => id)).size, description.models.length);
        assert.ok(description.operations.every((id) => operations.some((operation) => operation.id === id)));
        assert.ok(description.maxConcurrency === null || description.maxConcurrency > 0);
      });
      await fc.assert(property, { numRuns: 300 });
      assert.ok(described > 30, `only ${described} answers got that far`);
    });
  }
});
