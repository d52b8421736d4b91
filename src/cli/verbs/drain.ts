import { CliError } from "../cli-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import type { Verb } from "../verb.ts";

export interface DrainFlags extends DataFlag, JsonFlag {
  readonly host?: boolean;
}

/** `nexus drain NAME` */
export const drain: Verb<DrainFlags & { reason?: string }, [name: string]> = async ({ context }, flags, name) => {
  const target = targetOf(flags, name);
  const body = flags.reason === undefined ? target : { ...target, reason: flags.reason };
  await findPlatform(context, flags).call({ method: "POST", path: "/v1/nexus/drains", body });
  return {
    json: { drained: body },
    text: [`No new requests go to ${target.kind} ${name}. \`nexus undrain\` takes that back.`],
  };
};

/** `nexus undrain NAME` */
export const undrain: Verb<DrainFlags, [name: string]> = async ({ context }, flags, name) => {
  const target = targetOf(flags, name);
  await findPlatform(context, flags).call({ method: "DELETE", path: "/v1/nexus/drains", body: target });
  return { json: { undrained: target }, text: [`${target.kind} ${name} takes requests again.`] };
};

function targetOf(flags: DrainFlags, name: string): { kind: "host" | "service" | "instance"; name: string } {
  const isInstance = name.includes("/");
  if (flags.host === true && isInstance) {
    throw new CliError(exitCodes.usage, "usage", `'${name}' is an instance's name, not a host's.`);
  }
  return { kind: flags.host === true ? "host" : isInstance ? "instance" : "service", name };
}
