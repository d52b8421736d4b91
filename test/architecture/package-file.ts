import { z } from "zod";

/** A `package.json` as far as the rules look at it. */
export interface Package {
  readonly path: string;
  /** From the repository's root: empty for the root's own, else with a `/` at its end. */
  readonly folder: string;
  /** Versions by name. */
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

const versionsSchema = z.record(z.string(), z.string()).default({});
const packageSchema = z.object({
  dependencies: versionsSchema,
  devDependencies: versionsSchema,
  optionalDependencies: versionsSchema,
});

/** @throws when the text is no package.json. */
export function parsePackage(path: string, text: string): Package {
  return { path, folder: path.replace(/package\.json$/, ""), ...packageSchema.parse(JSON.parse(text)) };
}
