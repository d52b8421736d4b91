import { direct } from "./direct.ts";
import type { GatewayKind } from "./gateway.ts";
import { haproxy } from "./haproxy.ts";
import { nexus } from "./nexus.ts";
import { nginx } from "./nginx.ts";

/** In the order of the table. */
export const gateways: readonly GatewayKind[] = [direct, nginx, haproxy, nexus];
