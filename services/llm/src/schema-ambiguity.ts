import { areDisjoint, dereference, type JsonSchema, type SchemaScope, typesOf, unsupported } from "./json-schema.ts";

/** Readings of one text that a grammar may have to follow at once. Each costs time at every token. */
const readingsMax = 64;

/**
 * Refuses schemas whose grammar would be followed in ever more ways at once: alternatives that begin alike, nested in
 * each other. With two such objects in a schema that contains itself, the work doubles at every level, and at the
 * fourteenth one token takes ten seconds.
 */
export function refuseAmbiguity(scope: SchemaScope): void {
  const walk: Walk = { scope, forks: 0, open: new Map(), known: new Map() };
  const readings = readingsOf(walk, scope.root);
  if (readings > readingsMax) throw tooAmbiguous();
}

const tooAmbiguous = () =>
  unsupported(
    'it has too many alternatives that begin alike: let the objects under "anyOf" begin with a required property whose ' +
      "name or constant tells them apart",
  );

interface Walk {
  readonly scope: SchemaScope;
  /** Ambiguous alternatives on the way here. */
  readonly forks: number;
  /** References on the way here, with the forks before them. */
  readonly open: ReadonlyMap<string, number>;
  /** Readings of references that are done. */
  readonly known: Map<string, number>;
}

function readingsOf(walk: Walk, schema: unknown): number {
  if (typeof schema !== "object" || schema === null) return 1;
  const own = schema as JsonSchema;
  if (typeof own.$ref === "string") return readingsOfReference(walk, own, own.$ref);
  const alternatives = own.anyOf ?? own.oneOf ?? own.allOf;
  if (Array.isArray(alternatives)) return readingsOfAlternatives(walk, alternatives);
  const children = [...Object.values(own.properties ?? {}), own.items, own.additionalProperties].concat(
    own.prefixItems ?? [],
  );
  return Math.max(1, ...children.map((child) => readingsOf(walk, child)));
}

function readingsOfReference(walk: Walk, schema: JsonSchema, reference: string): number {
  const forksBefore = walk.open.get(reference);
  if (forksBefore !== undefined) {
    if (walk.forks > forksBefore) throw tooAmbiguous();
    return 1;
  }
  const known = walk.known.get(reference);
  if (known !== undefined) return known;
  const open = new Map(walk.open).set(reference, walk.forks);
  const readings = readingsOf({ ...walk, open }, dereference(walk.scope, schema, reference));
  walk.known.set(reference, readings);
  return readings;
}

function readingsOfAlternatives(walk: Walk, alternatives: readonly unknown[]): number {
  const resolved = alternatives.map((schema) =>
    typeof schema === "object" && schema !== null ? dereference(walk.scope, schema as JsonSchema, "anyOf") : {},
  );
  const readings = alternatives.map((alternative, index) => {
    const isAmbiguous = resolved.some(
      (other, at) => at !== index && beginAlike(walk.scope, resolved[index] ?? {}, other),
    );
    return { isAmbiguous, count: readingsOf({ ...walk, forks: walk.forks + (isAmbiguous ? 1 : 0) }, alternative) };
  });
  const together = readings.filter(({ isAmbiguous }) => isAmbiguous).reduce((sum, { count }) => sum + count, 0);
  const alone = readings.filter(({ isAmbiguous }) => !isAmbiguous).map(({ count }) => count);
  return Math.max(1, together, ...alone);
}

/** Whether a text may begin as both, beyond its first few characters. */
function beginAlike(scope: SchemaScope, one: JsonSchema, other: JsonSchema): boolean {
  const [types, otherTypes] = [typesOf(one), typesOf(other)];
  const shared = types.filter((type) => otherTypes.includes(type));
  if (types.length > 0 && otherTypes.length > 0 && shared.length === 0) return false;
  if (shared.length !== 1 || shared[0] !== "object") return true;
  const [first, otherFirst] = [firstNames(one), firstNames(other)];
  const common = first.filter((name) => otherFirst.includes(name));
  if (common.length === 0) return false;
  if (first.length > 1 || otherFirst.length > 1) return true;
  const only = (schema: JsonSchema) => ({ ...schema, required: first });
  return !areDisjoint(scope, [only(one), only(other)]);
}

/** Names that the first member of an object may have: those of optional properties up to the first required one. */
function firstNames(schema: JsonSchema): readonly string[] {
  const names = Object.keys((schema.properties ?? {}) as JsonSchema);
  const required = Array.isArray(schema.required) ? schema.required.map(String) : [];
  const until = names.findIndex((name) => required.includes(name));
  return until < 0 ? names : names.slice(0, until + 1);
}
