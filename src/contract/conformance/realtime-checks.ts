import { operationById } from "../operations.ts";
import { errorAnswerSchema } from "./answer-shapes.ts";
import { realtimeErrorSchema, realtimeResponseSchema, sessionEventSchema } from "./api-shapes.ts";
import { type Check, fail, mustBeJson, mustMatch, pass, skip, type Target } from "./check.ts";
import { readyModel } from "./operation-checks.ts";
import { generateTimeoutMs } from "./probe.ts";
import { bounded, openTalk, type TestTalk } from "./realtime-probe.ts";
import { mustStopWorking, seenWorking, slotsBefore } from "./work-gauge.ts";

const { path } = operationById("realtime.connect");
const closeMsMax = 2_000;

/** Where conversations are held here, or the check is skipped. */
export async function talkPath(target: Target): Promise<string> {
  const { metadata, model } = await readyModel(target, "realtime.connect");
  const talkers = metadata.models.filter(({ features }) => features.realtime === true);
  const talker = talkers.find(({ state }) => state === "loaded") ?? talkers[0];
  if (talker === undefined) skip(`no model declares realtime, ${model.id} neither`);
  return `${path}?model=${encodeURIComponent(talker.id)}`;
}

/** A conversation that has begun, which ends with the check however that ends. */
async function talking<T>(target: Target, run: (talk: TestTalk) => Promise<T>): Promise<T> {
  const talk = await openTalk(target.probe, await talkPath(target));
  try {
    await talk.until("session.created");
    return await run(talk);
  } finally {
    talk.close();
    await bounded(talk.closed, closeMsMax, target.probe.signal, "no end").catch(() => {});
  }
}

const ask = [
  {
    type: "conversation.item.create",
    item: { type: "message", role: "user", content: [{ type: "input_text", text: "Say hello." }] },
  },
  { type: "response.create", response: { output_modalities: ["text"], max_output_tokens: 16 } },
];

export const realtimeChecks: readonly Check[] = [
  {
    id: "realtime.upgrade",
    title: "A request for a conversation without a WebSocket is 426, or 400, in OpenAI's shape",
    async run(target) {
      const answer = await target.probe.ask(await talkPath(target));
      if (answer.status !== 426 && answer.status !== 400) fail(`GET ${path} answered ${answer.status}`);
      mustMatch(errorAnswerSchema, mustBeJson(answer, path), "the error body");
      return pass(`${answer.status}`);
    },
  },
  {
    id: "realtime.unknown-model",
    title: "A conversation with an unknown model is not opened",
    async run(target) {
      await talkPath(target);
      const talk = await openTalk(target.probe, `${path}?model=no-such-model`).catch(() => undefined);
      talk?.close();
      return talk === undefined ? pass() : fail("the WebSocket was opened");
    },
  },
  {
    id: "realtime.session",
    title: "A conversation begins with session.created, and session.update is answered with session.updated",
    async run(target) {
      const talk = await openTalk(target.probe, await talkPath(target));
      try {
        const [first] = await talk.until("session.created");
        mustMatch(sessionEventSchema, first, "the first event");
        talk.say({ type: "session.update", session: { type: "realtime", instructions: "Be brief." } });
        mustMatch(sessionEventSchema, (await talk.until("session.updated")).at(-1), "session.updated");
        return pass();
      } finally {
        talk.close();
      }
    },
  },
  {
    id: "realtime.response",
    title: "response.create is answered from response.created to response.done, with usage",
    generates: true,
    run: (target) =>
      talking(target, async (talk) => {
        for (const event of ask) talk.say(event);
        const events = await talk.until("response.done", generateTimeoutMs);
        if (!events.some(({ type }) => type === "response.created")) fail("no response.created came before");
        const { response } = mustMatch(realtimeResponseSchema, events.at(-1), "response.done");
        return pass(`${events.length} events, ${response.status}`);
      }),
  },
  {
    id: "realtime.errors",
    title: "An event that nobody knows is answered with an error event, and the conversation goes on",
    run: (target) =>
      talking(target, async (talk) => {
        talk.say({ type: "no.such.event", event_id: "conformance" });
        mustMatch(realtimeErrorSchema, (await talk.until("error")).at(-1), "the error event");
        talk.say("no JSON");
        mustMatch(realtimeErrorSchema, (await talk.until("error")).at(-1), "the error event");
        talk.say({ type: "session.update", session: { type: "realtime" } });
        await talk.until("session.updated");
        return pass();
      }),
  },
  {
    id: "realtime.close",
    title: "A client's closing is answered and frees the slot within a second",
    run: (target) => closing(target),
  },
];

async function closing(target: Target) {
  const at = await talkPath(target);
  const before = (await slotsBefore(target)) ?? 0;
  const talk = await openTalk(target.probe, at);
  await talk.until("session.created");
  await seenWorking(target, before + 1, bounded(talk.closed, closeMsMax, target.probe.signal, "no end"));
  talk.close();
  const { code, isClean } = await bounded(talk.closed, closeMsMax, target.probe.signal, "the closing was not answered");
  if (!isClean || code !== 1000) fail(`the conversation ended with ${code} instead of 1000`);
  const tookMs = await mustStopWorking(target, before);
  return pass(tookMs === undefined ? "" : `${tookMs} ms`);
}
