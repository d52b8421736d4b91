import { z } from "zod";
import type { Attacher } from "../attach/attacher.ts";
import { attachEntrySchema } from "../attach/config.ts";
import { parseOrThrow } from "../contract/parse.ts";
import type { ControlRoutes } from "./server.ts";

const { url, name, keyFrom } = attachEntrySchema.shape;
const requestSchema = z.strictObject({
  url,
  name,
  labels: attachEntrySchema.shape.labels,
  key_from: keyFrom,
});

/** `GET`, `POST` and `DELETE` of `/v1/nexus/attachments`. */
export function attachmentRoutes(attacher: Pick<Attacher, "attach" | "detach" | "list">): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/attachments", async () => ({ attachments: attacher.list() }));
    server.post("/v1/nexus/attachments", async (request, reply) => {
      const { key_from, name, ...rest } = parseOrThrow(
        requestSchema,
        request.body,
        "invalid_request",
        "The attachment",
      );
      const attached = await attacher.attach({
        ...rest,
        ...(name === undefined ? {} : { name }),
        ...(key_from === undefined ? {} : { keyFrom: key_from }),
      });
      return reply.status(201).send(attached);
    });
    server.delete<{ Params: { name: string } }>("/v1/nexus/attachments/:name", async (request) =>
      attacher.detach(request.params.name),
    );
  };
}
