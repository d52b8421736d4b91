import { at, chats, type Fault, json, type WholeAnswer } from "./fault.ts";

const nothing = () => false;

const alwaysReady = (answer: WholeAnswer): void => {
  answer.status = 200;
  answer.text = JSON.stringify({ ready: true, state: "ready", checks: {} });
};

/** A fault for each rule that only a process shows: `broken-process.ts` runs them. */
export const processFaults: readonly Fault[] = [
  {
    breaks: "process.run-file",
    defect: "it tells nobody where it listens",
    concerns: nothing,
    process: "hides",
  },
  {
    breaks: "drain.readiness",
    defect: "it is ready to its last moment",
    concerns: at("/readyz"),
    spoil: alwaysReady,
  },
  {
    breaks: "drain.finishes",
    defect: "it ends in the middle of its answers",
    concerns: nothing,
    process: "cuts",
  },
  {
    breaks: "drain.refuses",
    defect: "whoever comes too late is told something else",
    concerns: chats('"content":"Hi"', '"model":"fake-chat"'),
    spoil: json(({ error, ...answer }) => ({ ...answer, error: { ...error, code: "overloaded" } })),
  },
  {
    of: "forms",
    breaks: "drain.readiness",
    defect: "it is ready to its last moment, and takes forms",
    concerns: at("/readyz"),
    spoil: alwaysReady,
  },
  {
    of: "forms",
    breaks: "drain.finishes",
    defect: "it ends in the middle of its work on forms",
    concerns: nothing,
    process: "cuts",
  },
  {
    of: "forms",
    breaks: "drain.refuses",
    defect: "whoever comes too late with a form is told something else",
    concerns: at("/v1/audio/transcriptions"),
    spoil: (answer) => {
      if (answer.status === 503) json(({ error }) => ({ error: { ...error, code: "overloaded" } }))(answer);
    },
  },
  {
    breaks: "drain.realtime",
    defect: "it ends conversations as if all were said",
    concerns: nothing,
    closesWith: 1000,
  },
  {
    breaks: "drain.exit",
    defect: "its end looks like a failure",
    concerns: nothing,
    process: "fails",
  },
];
