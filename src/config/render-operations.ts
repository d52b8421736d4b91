import { type AnswerKind, type Operation, operations } from "../contract/operations.ts";

/** `docs/reference/operations.md`, from the table of operations. */
export function renderOperations(): string {
  const served = operations.filter(({ owner }) => owner === "instance");
  const kept = operations.filter(({ owner }) => owner === "gateway");
  return `# Operations

Generated from the table in \`src/contract/operations.ts\` by \`npm run schema\`.

What the gateway passes on to instances. An instance serves an operation when it lists it; one that lists none is taken to
offer what is usual for the domains of its models. \`{id}\` stands for one segment of the path.

| operation | request | model | body | answers | first byte | tried again |
|---|---|---|---|---|---|---|
${served.map(renderServed).join("\n")}

**Model.** \`body\`: the field \`model\`, of JSON or of a form. *Optional*: may be left out where there is only one. \`query\`: in
the address. A job is looked at where it is made, so its id says enough.

**Answers.** \`event-stream\` when the request says \`"stream": true\` (speech: \`"stream_format": "sse"\`). \`media\` are bytes that go
out as they are made.

**First byte.** How long an instance may take to begin to answer, unless \`gateway.timeouts\` or the route says otherwise. An
answer that has begun has no deadline but \`stallMs\` between two pieces. A look at a job that is answered in JSON has 5 s, a
WebSocket \`connectMs\` to open.

**Tried again.** While the client has no byte of an answer, on another instance, within the retry budget, when the connection
failed, nothing came in time, a whole answer broke off, or the instance said that it cannot now: 401, 403, 404, 429, 502, 503,
504 or 529. *Refused only*: only when the connection was refused, as minutes of a GPU are not spent twice. *No*: only one instance knows the job. *Hedged*:
a route may also ask a second instance when the first is slow.

## Out of the gateway's own store

| operation | request | body | answers |
|---|---|---|---|
${kept.map(renderKept).join("\n")}
`;
}

function renderServed(operation: Operation): string {
  const { id, method, path, body, answers, firstTokenMs } = operation;
  const cells = [
    `\`${id}\``,
    `\`${method} ${path}\``,
    modelOf(operation),
    body,
    answers.map(nameOf).join(", "),
    `${firstTokenMs / 1_000} s`,
    retryOf(operation),
  ];
  return `| ${cells.join(" | ")} |`;
}

function renderKept({ id, method, path, body, answers }: Operation): string {
  return `| \`${id}\` | \`${method} ${path}\` | ${body} | ${answers.map(nameOf).join(", ")} |`;
}

function modelOf({ model, isModelOptional, job }: Operation): string {
  if (job !== undefined && job.step !== "create") return "of the job";
  return isModelOptional === true ? `${model}, optional` : model;
}

function nameOf(kind: AnswerKind): string {
  return kind === "websocket" ? "WebSocket" : kind;
}

function retryOf({ costly, idempotent, job }: Operation): string {
  if (job !== undefined && job.step !== "create") return "no";
  if (costly) return "refused only";
  return idempotent ? "yes, hedged" : "yes";
}
