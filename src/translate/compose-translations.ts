import type { StreamEvent, StreamTranslator, Translation, Translator } from "./translation.ts";

/** Serves `first.from` by asking for `second.to`: requests pass through `first` and then `second`, answers the other way. */
export function composeTranslators(first: Translator, second: Translator): Translator {
  if (first.to !== second.from) throw new RangeError(`${first.from} does not lead to ${second.to}`);
  return {
    from: first.from,
    to: second.to,
    ...(first.suits === undefined ? {} : { suits: first.suits }),
    translate(request, context) {
      const outer = first.translate(request, context);
      const inner = second.translate(JSON.parse(outer.body.toString("utf8")), context);
      return composeTranslations(outer, inner);
    },
  };
}

function composeTranslations(outer: Translation, inner: Translation): Translation {
  return {
    body: inner.body,
    ...(inner.bodyFor === undefined ? {} : { bodyFor: inner.bodyFor }),
    whole: (body) => outer.whole(inner.whole(body)),
    stream: () => composeStreams(outer.stream(), inner.stream()),
  };
}

function composeStreams(outer: StreamTranslator, inner: StreamTranslator): StreamTranslator {
  const through = (events: readonly StreamEvent[]) => events.flatMap((event) => outer.push(event));
  return {
    push: (event) => through(inner.push(event)),
    end: () => [...through(inner.end()), ...outer.end()],
    ...(outer.fail === undefined ? {} : { fail: outer.fail.bind(outer) }),
  };
}

/** Tables do not change, and requests come by the thousand. */
const remembered = new WeakMap<readonly Translator[], Map<string, readonly Translator[]>>();

/** All ways to serve an operation by another one, the shortest first. The operation itself is not among them. */
export function translatorsFrom(operationId: string, table: readonly Translator[]): readonly Translator[] {
  const known = remembered.get(table) ?? new Map<string, readonly Translator[]>();
  const ways = known.get(operationId) ?? findWays(operationId, table);
  known.set(operationId, ways);
  remembered.set(table, known);
  return ways;
}

function findWays(operationId: string, table: readonly Translator[]): readonly Translator[] {
  const found = new Map<string, Translator>();
  let reached = table.filter(({ from }) => from === operationId);
  while (reached.length > 0) {
    const fresh = reached.filter(({ to }) => to !== operationId && !found.has(to));
    for (const translator of fresh) found.set(translator.to, translator);
    reached = fresh.flatMap((translator) =>
      table.filter(({ from }) => from === translator.to).map((next) => composeTranslators(translator, next)),
    );
  }
  return [...found.values()];
}
