import type { JsonFlag } from "../flags.ts";
import type { Verb } from "../verb.ts";

/** `nexus version` */
export const version: Verb<JsonFlag, []> = async ({ context }) => ({
  json: { version: context.version, node: process.versions.node, platform: `${process.platform}-${process.arch}` },
  text: [`nexus ${context.version}`],
});
