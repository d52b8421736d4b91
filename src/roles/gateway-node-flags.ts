/**
 * What Node is told when it runs a gateway, for the sake of its memory: 185 against 320 MB after a load of small
 * requests, with no more work for each of them.
 *
 * - Requests live for milliseconds, so that a young generation of 4 MiB is collected as cheaply as one of the default
 *   16 MiB. It has that size from the beginning: loading fills a smaller one over and over, a tenth of the start.
 * - What is compiled for speed is compiled by the thread that wants it. Threads of its own for that keep some 30 MB, for
 *   work that is over after the first seconds.
 * - What is made for a request begins in the young generation. V8 would learn from the first seconds, when everything is
 *   slow, to put it among the old: a tenth more work for each request, for ever.
 *
 * How far the old generation may grow is left to V8. Bodies lie outside of the heap and count as its growth: with half the
 * room, prompts of 200 KB cost twice the work, all of it in collections.
 */
export const gatewayNodeFlags: readonly string[] = [
  "--min-semi-space-size=4",
  "--max-semi-space-size=4",
  "--no-concurrent-recompilation",
  "--no-allocation-site-pretenuring",
];
