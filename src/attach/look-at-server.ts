import { isDeepStrictEqual } from "node:util";
import { NexusError } from "../base/errors.ts";
import type { Description, Dialect } from "../dialects/dialect.ts";
import { isNexusGateway } from "../dialects/nexus.ts";
import type { Probe, ProbeFailure } from "../dialects/probe.ts";
import { recogniseBackend } from "../dialects/recognise-backend.ts";

/** What a look at a server has shown. */
export interface Look {
  readonly dialect: Dialect;
  readonly description: Description;
}

/**
 * Looks at a server once: as what it was last time and, where that does not fit any more, as whatever it is now.
 * @throws ProbeFailure when the server cannot be asked.
 * @throws NexusError `backend_unrecognised` when no dialect fits, with what was tried; `conflict` for a gateway.
 */
export async function lookAtServer(probe: Probe, dialects: readonly Dialect[], last?: Look): Promise<Look> {
  const description = await last?.dialect.describe(probe);
  // Most servers speak OpenAI's dialect too: another name or version means to look closely again.
  const isSame = description !== undefined && isDeepStrictEqual(description.backend, last?.description.backend);
  const dialect = isSame && last !== undefined ? last.dialect : await recognise(probe, dialects);
  if (dialect.name === "nexus" && (await isNexusGateway(probe))) throw gatewayRefused();
  const seen = dialect === last?.dialect ? description : await dialect.describe(probe);
  if (seen === undefined) throw unrecognised(probe);
  return { dialect, description: seen };
}

async function recognise(probe: Probe, dialects: readonly Dialect[]): Promise<Dialect> {
  const dialect = await recogniseBackend(probe, dialects);
  if (dialect !== undefined) return dialect;
  // Without a key a gateway shows its health only.
  throw (await isNexusGateway(probe)) ? gatewayRefused() : unrecognised(probe);
}

function gatewayRefused(): NexusError {
  return new NexusError(
    "conflict",
    "That is a gateway of Nexus: requests sent there could come back. Attach the servers behind it instead.",
    { param: "url" },
  );
}

function unrecognised(probe: Probe): NexusError {
  const asksForKey = probe.asked.some((question) => /: 40[13]\b/.test(question));
  const hint = asksForKey
    ? " It asks for a key: give it with --key-from env:NAME or file:/absolute/path."
    : " Is it a model server? Nexus needs at least GET /v1/models in OpenAI's shape.";
  return new NexusError(
    "backend_unrecognised",
    `Something answers there, but it is no server that Nexus knows.${hint} Tried: ${probe.asked.join("; ")}.`,
    { param: "url" },
  );
}

/** The public error for a server that could not be asked when the operator wanted it attached. */
export function unreachable(failure: ProbeFailure, baseUrl: string): NexusError {
  const what = {
    refused: "refuses the connection",
    timeout: "does not answer in time",
    broken: "breaks the connection",
  };
  if (failure.kind === "forbidden") {
    return new NexusError("invalid_request", "Nexus does not connect to the address that this name leads to.", {
      param: "url",
    });
  }
  return new NexusError(
    "backend_unreachable",
    `${new URL(baseUrl).host} ${what[failure.kind]}. Is the server running?`,
    {
      param: "url",
      detail: failure.message,
    },
  );
}
