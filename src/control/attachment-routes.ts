import { z } from "zod";
import type { Attacher } from "../attach/attacher.ts";
import { attachEntrySchema } from "../attach/config.ts";
import { NexusError } from "../base/errors.ts";
import { parseOrThrow } from "../contract/parse.ts";
import type { ControlRoutes } from "./server.ts";

const { url, name, labels, keyFrom, paid, tier } = attachEntrySchema.shape;
const requestSchema = z.strictObject({
  url,
  name,
  labels,
  key_from: keyFrom,
  // Left out is not the same as false where the server is attached already.
  paid: paid.unwrap().optional(),
  tier,
});

/** A reference names a file or a variable of this machine, and its content is sent to the URL beside it. */
const relayedKeyMessage =
  "A key reference is taken on the platform's own machine only: run `nexus attach` there, or put it into its configuration.";

/** `GET`, `POST` and `DELETE` of `/v1/nexus/attachments`. */
export function attachmentRoutes(attacher: Pick<Attacher, "attach" | "detach" | "list">): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/attachments", async () => ({ attachments: attacher.list() }));
    server.post("/v1/nexus/attachments", async (request, reply) => {
      const { key_from, name, paid, tier, ...rest } = parseOrThrow(
        requestSchema,
        request.body,
        "invalid_request",
        "The attachment",
      );
      if (key_from !== undefined && request.headers["x-nexus-relayed"] !== undefined) {
        throw new NexusError("permission_denied", relayedKeyMessage, { param: "key_from" });
      }
      const attached = await attacher.attach({
        ...rest,
        ...(name === undefined ? {} : { name }),
        ...(key_from === undefined ? {} : { keyFrom: key_from }),
        ...(paid === undefined ? {} : { paid }),
        ...(tier === undefined ? {} : { tier }),
      });
      return reply.status(201).send(attached);
    });
    server.delete<{ Params: { name: string } }>("/v1/nexus/attachments/:name", async (request) =>
      attacher.detach(request.params.name),
    );
  };
}
