import type { ControlRoutes } from "./server.ts";
import type { PlatformStatus } from "./status.ts";

export interface PlatformControl {
  status(): PlatformStatus;
  /** Begins to stop; does not wait. */
  stop(): void;
}

/** `GET /v1/nexus/status` and `POST /v1/nexus/stop`. */
export function platformRoutes({ status, stop }: PlatformControl): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/status", async () => status());
    server.post("/v1/nexus/stop", async (_request, reply) => {
      // The answer goes out first: the socket closes with the platform.
      reply.raw.once("close", stop);
      return reply.status(202).send({ stopping: true });
    });
  };
}
