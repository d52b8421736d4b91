import { type Package, parsePackage } from "./package-file.ts";
import { parseSource, type SourceFile } from "./source-file.ts";

/** Everything that the rules look at. */
export interface House {
  readonly files: readonly SourceFile[];
  readonly packages: readonly Package[];
}

/** One place that breaks a rule. */
export interface Violation {
  /** `src/base/clock.ts:12`, or a path alone. */
  readonly where: string;
  /** What is wrong and what to do instead. */
  readonly what: string;
}

/** Something that holds for the whole house. */
export interface Rule {
  /** Stands as the name of its test. */
  readonly name: string;
  find(house: House): Iterable<Violation>;
  /** Files, by path, of which each breaks it: the proof that it finds anything at all. */
  readonly broken: Readonly<Record<string, string>>;
  /** Files beside the broken ones, where the rule looks at several at once. */
  readonly beside?: Readonly<Record<string, string>>;
}

/** What may break a rule, and why. */
export type Excuses = Readonly<Record<string, string>>;

/** Reads a house from its files' texts by path. */
export function buildHouse(texts: Readonly<Record<string, string>>): House {
  const files: SourceFile[] = [];
  const packages: Package[] = [];
  for (const [path, text] of Object.entries(texts)) {
    if (path.endsWith(".json")) packages.push(parsePackage(path, text));
    else files.push(parseSource(path, text));
  }
  return { files, packages };
}

/** Code that ships: not tests, not scripts. */
export function isProduct(path: string): boolean {
  return /^(src|services\/[^/]+\/src)\//.test(path) && !path.endsWith(".test.ts");
}

/** `roles` of `src/roles/gateway.ts`; undefined outside `src/`, and for `src/main.ts`, which belongs to no room. */
export function roomOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}
