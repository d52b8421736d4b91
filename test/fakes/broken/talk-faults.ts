import type { IncomingMessage } from "node:http";
import { type Fault, type Json, status } from "./fault.ts";

const plain = ({ url, headers }: IncomingMessage) =>
  url?.startsWith("/v1/realtime") === true && headers.upgrade === undefined;
const nothing = () => false;

/** Changes events of one type. */
const ofType =
  (type: string, change: (event: Json) => Json) =>
  (event: Json): Json =>
    event.type === type ? change(event) : event;

/** At least one fault for each rule about conversations. */
export const talkFaults: readonly Fault[] = [
  {
    breaks: "realtime.upgrade",
    defect: "whoever forgets the WebSocket is told that there is nothing",
    concerns: plain,
    spoil: status(404),
  },
  {
    breaks: "realtime.unknown-model",
    defect: "it talks for models that it has not",
    concerns: nothing,
    opensAll: true,
  },
  {
    breaks: "realtime.session",
    defect: "it does not say what became of a session",
    concerns: nothing,
    say: ofType("session.updated", ({ session: _session, ...event }) => event),
  },
  {
    breaks: "realtime.response",
    defect: "its answers cost nothing",
    concerns: nothing,
    say: ofType("response.done", ({ response, ...event }) => ({ ...event, response: { ...response, usage: null } })),
  },
  {
    breaks: "realtime.errors",
    defect: "its errors say nothing",
    concerns: nothing,
    say: ofType("error", (event) => ({ ...event, error: {} })),
  },
  {
    breaks: "realtime.close",
    defect: "it talks on although nobody listens",
    concerns: ({ headers }) => headers.upgrade !== undefined,
    worksOnMs: 2_000,
  },
];
