import fc from "fast-check";

/** All that one chat completion says, in the order in which servers say it. */
export interface ChatSaying {
  readonly reasoning: string;
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly input: Readonly<Record<string, unknown>> }[];
  readonly finish: string;
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

/** Any answer that a chat completion can give. */
export function chatSayings(): fc.Arbitrary<ChatSaying> {
  const text = fc.string({ unit: "grapheme", maxLength: 12 });
  return fc.record({
    reasoning: text,
    text,
    calls: fc.array(
      fc.record({
        name: fc.constantFrom("weather", "search"),
        input: fc.dictionary(text, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
      }),
      { maxLength: 3 },
    ),
    finish: fc.constantFrom("stop", "length", "content_filter"),
    usage: fc.record({ prompt_tokens: fc.nat(1_000), completion_tokens: fc.nat(1_000) }),
  });
}

function callsOf({ calls }: ChatSaying) {
  return calls.map(({ name, input }, index) => ({
    id: `call_${index}`,
    type: "function",
    function: { name, arguments: JSON.stringify(input) },
  }));
}

/** As a whole answer. */
export function chatAnswerOf(saying: ChatSaying): object {
  const { reasoning, text, calls, finish, usage } = saying;
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: "served",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: text === "" ? null : text,
          ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
          ...(calls.length === 0 ? {} : { tool_calls: callsOf(saying) }),
        },
        finish_reason: finish,
      },
    ],
    usage: { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens },
  };
}

/** As a stream, cut into pieces of `length()` characters; the arguments of all calls come in turn. */
export function chatChunksOf(saying: ChatSaying, length: () => number): readonly object[] {
  const { reasoning, text, finish, usage } = saying;
  const chunk = (delta: object, reason: string | null = null) => ({
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1,
    model: "served",
    choices: [{ index: 0, delta, finish_reason: reason }],
  });
  return [
    chunk({ role: "assistant", content: "" }),
    ...cut(reasoning, length).map((piece) => chunk({ reasoning_content: piece })),
    ...cut(text, length).map((piece) => chunk({ content: piece })),
    ...inTurn(
      callsOf(saying).map((call, index) => [
        chunk({ tool_calls: [{ index, ...call, function: { name: call.function.name, arguments: "" } }] }),
        ...cut(call.function.arguments, length).map((piece) =>
          chunk({ tool_calls: [{ index, function: { arguments: piece } }] }),
        ),
      ]),
      length,
    ),
    chunk({}, finish),
    { ...chunk({}), choices: [], usage },
  ];
}

/** Pieces of `length()` characters, at least one each. */
export function cut(text: string, length: () => number): readonly string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const size = Math.max(length(), 1);
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

/** Takes from one list or another, each in its own order; a list begins when those before it have begun. */
function inTurn<T>(lists: readonly (readonly T[])[], choice: () => number): readonly T[] {
  const queues = lists.map((list) => [...list]);
  const begun = new Set<number>();
  const taken: T[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    const open = queues.map((_, index) => index).filter((index) => (queues[index]?.length ?? 0) > 0);
    const ready = open.filter((index) => begun.has(index) || begun.size === index);
    const chosen = ready[choice() % ready.length] ?? 0;
    begun.add(chosen);
    const item = queues[chosen]?.shift();
    if (item !== undefined) taken.push(item);
  }
  return taken;
}
