import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { it } from "node:test";
import { makeRecord } from "../../test/support/records.ts";
import { Upstreams } from "./upstream.ts";

it("says why a probe failed without the words of the system, which name addresses and paths", async () => {
  const server = createServer((socket) => socket.end("no answer\r\n\r\n")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const upstreams = new Upstreams({
    timeouts: { firstTokenMs: 5_000, stallMs: 5_000, connectMs: 5_000 },
    probes: { timeoutMs: 5_000, keyedTimeoutMs: 5_000 },
    resolveSecret: async () => "",
  });
  const probe = (scheme: string) => upstreams.probe(makeRecord({ base_url: `${scheme}://127.0.0.1:${port}` }));
  try {
    const broken = "The instance broke the connection before it answered";
    assert.deepEqual(await probe("http"), { kind: "silent", reason: `${broken}.` });
    const overTls = `${broken} (ERR_SSL_WRONG_VERSION_NUMBER).`;
    assert.deepEqual(await probe("https"), { kind: "silent", reason: overTls });
  } finally {
    await upstreams.close();
    server.close();
  }
});
