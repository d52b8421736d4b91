import { createSecretResolver } from "../../config/secrets.ts";
import type { CliContext } from "../context.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import type { Verb } from "../verb.ts";

export interface KeyCreateFlags extends DataFlag, JsonFlag {
  readonly role: "user" | "admin";
  readonly keyFrom?: string;
}

/** A key as the control API shows it. */
interface KeyInfo {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly hint: string;
  readonly is_weak: boolean;
  readonly created_at: string;
  readonly revoked_at: string | null;
}

/** `nexus keys create NAME` */
export const createKey: Verb<KeyCreateFlags, [name: string]> = async ({ context }, flags, name) => {
  const chosen = flags.keyFrom === undefined ? undefined : await readChosenKey(flags.keyFrom, context);
  const created = await findPlatform(context, flags).call<{ key: string; record: KeyInfo }>({
    method: "POST",
    path: "/v1/nexus/keys",
    body: { name, role: flags.role, ...(chosen === undefined ? {} : { key: chosen }) },
  });
  const { paint } = context.terminal;
  const { id, role, is_weak } = created.record;
  if (chosen !== undefined) {
    const limit = is_weak ? " It is weak: Nexus refuses to start with it on an address that others can reach." : "";
    return { json: { record: created.record }, text: [`The key works from now on: ${id}, role ${role}.${limit}`] };
  }
  return {
    json: created,
    text: [paint("bold", created.key), paint("dim", `${id}, role ${role}. It is shown this once: keep it now.`)],
  };
};

/** A key that clients have already. By reference, so that it stands in no history and in no list of processes. */
async function readChosenKey(reference: string, context: CliContext): Promise<string> {
  return (await createSecretResolver(context.environment)(reference)).trim();
}

/** `nexus keys ls` */
export const listKeys: Verb<DataFlag & JsonFlag, []> = async ({ context }, flags) => {
  const answer = await findPlatform(context, flags).call<{ keys: readonly KeyInfo[] }>({
    method: "GET",
    path: "/v1/nexus/keys",
  });
  const { terminal } = context;
  const rows = answer.keys.map((key) => [
    key.id,
    key.name,
    key.role,
    `${key.hint}…`,
    key.created_at.slice(0, 10),
    key.revoked_at === null
      ? ({ text: "live", style: "green" } as const)
      : ({ text: `revoked ${key.revoked_at.slice(0, 10)}`, style: "dim" } as const),
  ]);
  return { json: answer, text: terminal.table(rows, ["ID", "NAME", "ROLE", "KEY", "CREATED", "STATE"]) };
};

/** `nexus keys revoke KEY` */
export const revokeKey: Verb<DataFlag & JsonFlag, [key: string]> = async ({ context }, flags, key) => {
  const revoked = await findPlatform(context, flags).call<{ record: KeyInfo }>({
    method: "DELETE",
    path: `/v1/nexus/keys/${encodeURIComponent(key)}`,
  });
  return { json: revoked, text: [`${revoked.record.name} (${revoked.record.id}) is revoked.`] };
};
