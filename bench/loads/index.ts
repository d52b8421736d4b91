import { paced, rate } from "./generated.ts";
import { closedLoop, type Load } from "./load.ts";

/** 32 clients at once: enough to keep one core busy, few enough that the queue isn't what is measured. */
const manyConnections = 32;
/** Of large bodies fewer do, and more would measure the memory. */
const fewConnections = 8;

/** What every gateway goes through, round after round. */
export const loads: readonly Load[] = [
  closedLoop({ name: "chat", title: "small chat requests", body: "chat", connections: manyConnections }),
  rate,
  closedLoop({ name: "single", title: "one connection", body: "chat", connections: 1 }),
  closedLoop({ name: "stream", title: "streams of 50 chunks", body: "stream", connections: manyConnections }),
  paced,
  closedLoop({ name: "prompt", title: "200 KB prompts", body: "prompt", connections: fewConnections }),
];
