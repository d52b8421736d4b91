import { paidLabel } from "../../contract/service-labels.ts";
import { CliError } from "../cli-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import type { Verb } from "../verb.ts";

export interface AttachFlags extends DataFlag, JsonFlag {
  readonly name?: string;
  readonly label?: readonly (readonly [name: string, value: string])[];
  readonly keyFrom?: string;
  readonly paid?: boolean;
  readonly tier?: number;
}

/** An attachment as the control API answers it; only what is shown. */
interface Attached {
  readonly name: string;
  readonly url: string;
  readonly dialect?: string | null;
  readonly models?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** Recognising a server asks it several questions, one after the other. */
const attachTimeoutMs = 60_000;

/** `nexus attach URL` */
export const attach: Verb<AttachFlags, [url: string]> = async ({ context }, flags, url) => {
  if (!URL.canParse(url) || !/^https?:\/\//.test(url)) {
    throw new CliError(exitCodes.usage, "usage", `'${url}' is no http or https URL.`, {
      hint: "Such as http://127.0.0.1:11434",
    });
  }
  const attached = await findPlatform(context, flags).call<Attached>({
    method: "POST",
    path: "/v1/nexus/attachments",
    timeoutMs: attachTimeoutMs,
    signal: context.interrupts.signal,
    body: {
      url,
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.label === undefined ? {} : { labels: Object.fromEntries(flags.label) }),
      ...(flags.keyFrom === undefined ? {} : { key_from: flags.keyFrom }),
      ...(flags.paid === undefined ? {} : { paid: flags.paid }),
      ...(flags.tier === undefined ? {} : { tier: flags.tier }),
    },
  });
  return { json: attached, text: describeAttached(attached) };
};

function describeAttached({ name, dialect, models = [], labels = {} }: Attached): string[] {
  const shown = models.slice(0, 8).join(", ");
  const more = models.length > 8 ? ` and ${models.length - 8} more` : "";
  return [
    `${name} is attached (${dialect ?? "openai-compatible"}).`,
    models.length === 0 ? "It serves no model yet." : `It serves ${shown}${more}.`,
    ...(labels[paidLabel] === "true" ? ["It costs money: it is used only where a route names it or allows it."] : []),
  ];
}

/** `nexus detach NAME` */
export const detach: Verb<DataFlag & JsonFlag, [name: string]> = async ({ context }, flags, name) => {
  await findPlatform(context, flags).call({
    method: "DELETE",
    path: `/v1/nexus/attachments/${encodeURIComponent(name)}`,
  });
  return { json: { detached: name }, text: [`${name} is detached. The server itself was not touched.`] };
};
