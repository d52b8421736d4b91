import { createSecretResolver } from "../../config/secrets.ts";
import type { KeyInfo } from "../../control/key-routes.ts";
import type { KeyRole } from "../../keys/key-record.ts";
import type { CliContext } from "../context.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { describeLimits, type Expiry, type LimitFlags, toLimits } from "../limit-flags.ts";
import { findPlatform } from "../platform.ts";
import type { Cell } from "../terminal.ts";
import type { Answer, Verb } from "../verb.ts";

export interface KeyCreateFlags extends DataFlag, JsonFlag, LimitFlags {
  readonly role: KeyRole;
  readonly keyFrom?: string;
  readonly tenant?: string;
  readonly expires?: Expiry;
}

export interface KeyRotateFlags extends DataFlag, JsonFlag {
  /** Seconds. */
  readonly overlap: number;
  readonly keyFrom?: string;
}

interface CreatedKey {
  readonly key: string;
  readonly record: KeyInfo;
}

/** `nexus keys create NAME` */
export const createKey: Verb<KeyCreateFlags, [name: string]> = async ({ context }, flags, name) => {
  const chosen = await readChosenKey(flags.keyFrom, context);
  const created = await findPlatform(context, flags).call<CreatedKey>({
    method: "POST",
    path: "/v1/nexus/keys",
    body: {
      name,
      role: flags.role,
      ...(chosen === undefined ? {} : { key: chosen }),
      ...(flags.tenant === undefined ? {} : { tenant: flags.tenant }),
      ...(flags.expires === undefined ? {} : { expires_at: momentIn(flags.expires) }),
      limits: Object.fromEntries(Object.entries(toLimits(flags)).filter(([, limit]) => limit !== null)),
    },
  });
  return showCreated(context, created, chosen === undefined);
};

/** `nexus keys rotate KEY` */
export const rotateKey: Verb<KeyRotateFlags, [key: string]> = async ({ context }, flags, key) => {
  const chosen = await readChosenKey(flags.keyFrom, context);
  const rotated = await findPlatform(context, flags).call<CreatedKey>({
    method: "POST",
    path: `/v1/nexus/keys/${encodeURIComponent(key)}/rotate`,
    body: { overlap_seconds: flags.overlap, ...(chosen === undefined ? {} : { key: chosen }) },
  });
  const answer = showCreated(context, rotated, chosen === undefined);
  const { previous_until } = rotated.record;
  const old = previous_until === null ? "The old key has ended." : `The old key works until ${previous_until}.`;
  return { ...answer, text: [...answer.text, old] };
};

/** A key that somebody chose is not repeated. */
function showCreated({ terminal: { paint } }: CliContext, created: CreatedKey, isNew: boolean): Answer {
  const { id, role, is_weak } = created.record;
  if (!isNew) {
    const limit = is_weak ? " It is weak: Nexus refuses to start with it on an address that others can reach." : "";
    return { json: { record: created.record }, text: [`The key works from now on: ${id}, role ${role}.${limit}`] };
  }
  return {
    json: created,
    text: [paint("bold", created.key), paint("dim", `${id}, role ${role}. It is shown this once: keep it now.`)],
  };
}

/** A key that clients have already. By reference, so that it stands in no history and in no list of processes. */
async function readChosenKey(reference: string | undefined, context: CliContext): Promise<string | undefined> {
  if (reference === undefined) return undefined;
  return (await createSecretResolver(context.environment)(reference)).trim();
}

function momentIn(expiry: Expiry): string | null {
  return expiry === "never" ? null : new Date(Date.now() + expiry * 1_000).toISOString();
}

/** `nexus keys ls` */
export const listKeys: Verb<DataFlag & JsonFlag, []> = async ({ context }, flags) => {
  const answer = await findPlatform(context, flags).call<{ keys: readonly KeyInfo[] }>({
    method: "GET",
    path: "/v1/nexus/keys",
  });
  const rows = answer.keys.map((key): Cell[] => [
    key.id,
    key.name,
    key.role,
    `${key.hint}…`,
    key.created_at.slice(0, 10),
    stateOf(key),
    describeLimits(key.limits),
  ]);
  return {
    json: answer,
    text: context.terminal.table(rows, ["ID", "NAME", "ROLE", "KEY", "CREATED", "STATE", "LIMITS"]),
  };
};

function stateOf({ revoked_at, expires_at, previous_until }: KeyInfo): Cell {
  if (revoked_at !== null) return { text: `revoked ${revoked_at.slice(0, 10)}`, style: "dim" };
  if (expires_at !== null && Date.parse(expires_at) <= Date.now()) {
    return { text: `expired ${expires_at.slice(0, 10)}`, style: "dim" };
  }
  const notes = [
    ...(expires_at === null ? [] : [`until ${expires_at.slice(0, 10)}`]),
    ...(previous_until === null ? [] : ["old key works too"]),
  ];
  return { text: ["live", ...notes].join(", "), style: "green" };
}

/** `nexus keys limit KEY` */
export const limitKey: Verb<DataFlag & JsonFlag & LimitFlags, [key: string]> = async ({ context }, flags, key) => {
  const changed = await findPlatform(context, flags).call<{ record: KeyInfo }>({
    method: "PATCH",
    path: `/v1/nexus/keys/${encodeURIComponent(key)}`,
    body: { limits: toLimits(flags) },
  });
  return { json: changed, text: [`Limits of ${changed.record.name}: ${describeLimits(changed.record.limits)}.`] };
};

/** `nexus keys expire KEY` */
export const expireKey: Verb<DataFlag & JsonFlag & { readonly in?: Expiry }, [key: string]> = async (
  { context },
  flags,
  key,
) => {
  const changed = await findPlatform(context, flags).call<{ record: KeyInfo }>({
    method: "PATCH",
    path: `/v1/nexus/keys/${encodeURIComponent(key)}`,
    body: { expires_at: momentIn(flags.in ?? 0) },
  });
  const { name, expires_at } = changed.record;
  return {
    json: changed,
    text: [expires_at === null ? `${name} never expires.` : `${name} expires at ${expires_at}.`],
  };
};

/** `nexus keys revoke KEY` */
export const revokeKey: Verb<DataFlag & JsonFlag, [key: string]> = async ({ context }, flags, key) => {
  const revoked = await findPlatform(context, flags).call<{ record: KeyInfo }>({
    method: "DELETE",
    path: `/v1/nexus/keys/${encodeURIComponent(key)}`,
  });
  return { json: revoked, text: [`${revoked.record.name} (${revoked.record.id}) is revoked.`] };
};
