import { z } from "zod";
import { admissionConfigSchema } from "../resilience/config.ts";
import { operationTimeoutsSchema } from "../routing/config.ts";

const milliseconds = (value: number, text: string) => z.int().positive().max(86_400_000).default(value).describe(text);

/** `listen`: where clients reach the gateway. */
export const listenConfigSchema = z.strictObject({
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("Address to listen on. Anything but loopback needs `auth.mode: keys`."),
  port: z.int().min(0).max(65_535).default(8800).describe("TCP port; 0 lets the system choose."),
});

/** `auth`: who may ask. */
export const authConfigSchema = z.strictObject({
  mode: z
    .enum(["keys", "none"])
    .default("keys")
    .describe("`keys`: every request carries a bearer key. `none`: no key needed; loopback addresses only."),
});

const timeoutsSchema = z.strictObject({
  connectMs: milliseconds(
    2_000,
    "To open a connection to an instance. A LAN answers in 1 ms; 2 s survives one lost SYN.",
  ),
  firstTokenMs: z
    .int()
    .positive()
    .max(86_400_000)
    .optional()
    .describe(
      "From sending the request to the first byte of the answer. Default: the operation's own, 60 s for text and 600 s for pictures and sound.",
    ),
  stallMs: milliseconds(30_000, "Between two pieces of an answer that has begun."),
  heartbeatMs: milliseconds(15_000, "Between the comments that keep a waiting stream open through proxies."),
  drainMs: milliseconds(30_000, "For requests in flight when the gateway is told to stop."),
  operations: operationTimeoutsSchema.optional().describe("Deadlines of single operations, by their id."),
});

const retrySchema = z.strictObject({
  attemptsMax: z.int().min(1).max(10).default(3).describe("Attempts for one request, the first one included."),
  budgetRatio: z
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe("Retries in flight as a share of requests in flight (Envoy's retry budget, 20 %)."),
  budgetMin: z.int().nonnegative().default(3).describe("Retries in flight that are always allowed (Envoy: 3)."),
});

const ejectionSchema = z.strictObject({
  failures: z.int().positive().default(3).describe("Failures in a row that take an instance out."),
  baseMs: milliseconds(1_000, "First time out; doubles with every further ejection."),
  maxMs: milliseconds(60_000, "Longest time out."),
});

const probesSchema = z.strictObject({
  intervalMs: milliseconds(1_500, "Between two readiness probes of one instance."),
  timeoutMs: milliseconds(1_000, "For one probe. With two failures in a row a frozen instance is out after 4 s."),
  failures: z
    .int()
    .positive()
    .default(2)
    .describe("Failed probes in a row that unroute; a refused connection needs one."),
  keyedIntervalMs: milliseconds(
    15_000,
    "The same for servers that ask for a key: they may be far away, and somebody may count what they are asked.",
  ),
  keyedTimeoutMs: milliseconds(5_000, "For one probe of a server that asks for a key."),
});

/** `gateway`: limits, deadlines and retries of the request path. */
export const gatewayConfigSchema = z.strictObject({
  workers: z
    .union([z.literal("auto"), z.int().min(1).max(64)])
    .default(1)
    .describe("Processes that serve; `auto`: as many as there are cores. Each takes some 100 MB."),
  bodyBytesMax: z
    .int()
    .positive()
    .max(2_147_483_647)
    .default(64 * 1024 * 1024)
    .describe("Largest request body in bytes; images in messages make them big."),
  timeouts: timeoutsSchema.prefault({}),
  retry: retrySchema.prefault({}),
  ejection: ejectionSchema.prefault({}),
  probes: probesSchema.prefault({}),
  admission: admissionConfigSchema.prefault({}),
});

/** `aliases`: names that clients may ask for, and the model each one means. */
export const aliasesConfigSchema = z
  .record(z.string().min(1).max(256), z.string().min(1).max(256))
  .default({})
  .describe("Alias to model id, such as `gpt-4o-mini: smollm2-135m-instruct`.");

export type ListenConfig = z.output<typeof listenConfigSchema>;
export type AuthConfig = z.output<typeof authConfigSchema>;
export type GatewayConfig = z.output<typeof gatewayConfigSchema>;
export type Aliases = z.output<typeof aliasesConfigSchema>;
