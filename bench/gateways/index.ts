import { direct } from "./direct.ts";
import type { GatewayKind } from "./gateway.ts";
import { bifrost, gomodel, olla } from "./go-peers.ts";
import { haproxy } from "./haproxy.ts";
import { litellm } from "./litellm.ts";
import { nexus } from "./nexus.ts";
import { nginx } from "./nginx.ts";
import { portkey } from "./portkey.ts";

/** In the order of the table. */
export const gateways: readonly GatewayKind[] = [
  direct,
  nginx,
  haproxy,
  nexus,
  gomodel,
  bifrost,
  olla,
  portkey,
  litellm,
];
