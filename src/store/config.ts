import { z } from "zod";

const message =
  "must be `sqlite:PATH`, `postgres://USER@HOST/NAME` without a password, or a reference to the whole: `env:NAME` or `file:/absolute/path`";

/** `database`: where keys, tenants, usage and whatever else must last is kept. */
export const databaseConfigSchema = z.strictObject({
  url: z
    .string()
    .max(2_048)
    .refine(isDatabaseUrl, message)
    .optional()
    .describe(
      "`sqlite:PATH`; or `postgres://USER@HOST/NAME`, for gateways on several hosts. With a password it is a secret: write it into a variable or a file, and `env:NAME` or `file:/absolute/path` here. Default: `nexus.db` in the data directory.",
    ),
});

export type DatabaseConfig = z.output<typeof databaseConfigSchema>;

function isDatabaseUrl(text: string): boolean {
  if (/^env:[A-Za-z_][A-Za-z0-9_]*$/.test(text) || /^file:\/./.test(text) || /^sqlite:./.test(text)) return true;
  if (!isPostgresUrl(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return url.password === "" && !url.searchParams.has("password");
}

/** Whether a resolved URL means PostgreSQL. */
export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text);
}
