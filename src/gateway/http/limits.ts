/** A slow sender of headers is dropped after 10 to 12 s; Node's own default is 60 s. */
export const headersTimeoutMs = 10_000;
/** How often connections are looked at for those that took too long. */
export const checkIntervalMs = 2_000;
/** For a whole request to arrive; big images over slow links take their time. */
export const requestTimeoutMs = 300_000;
/** Longer than the 60 s after which common proxies close, so that they close first and no request meets a dead end. */
export const keepAliveMs = 65_000;
export const connectionsMax = 10_000;
/** How long the rest of a refused request is read, so that its sender gets to see the answer. */
export const refusedBodyMs = 5_000;
/** How long a connection stays after its last answer, for its client to read why and close it. */
export const lingerMs = 1_000;
/**
 * How long a server that ends still takes what comes, and says with each answer that it is the last: requests that are
 * on their way when it is told to end would meet a reset otherwise.
 */
export const farewellMs = 250;
/** For a client to take what waits for it. One that takes longer has stopped to read, and would hold all that for ever. */
export const readingMs = 300_000;
