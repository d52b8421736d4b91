import { type GatewayKind, plain } from "./gateway.ts";

/** No gateway: what the mock and the load can do between themselves. */
export const direct: GatewayKind = {
  name: "direct",
  title: "direct",
  features: "no gateway",
  hasWorkers: false,
  prepare: async () => "",
  start: async (place) => ({ ...plain, port: place.upstreamPort, process: undefined }),
};
