import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** A TCP connection to a server, for what no HTTP client would send. Closed with the test. */
export async function rawSocket(t: TestContext, url: string) {
  const { hostname, port } = new URL(url);
  const socket: Socket = connect(Number(port), hostname);
  let error: Error | undefined;
  socket.on("error", (thrown) => {
    error = thrown;
  });
  t.after(() => socket.destroy());
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  let text = "";
  let isClosed = false;
  let waiting: (() => void)[] = [];
  const wake = () => {
    const resolved = waiting;
    waiting = [];
    for (const resolve of resolved) resolve();
  };
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    wake();
  });
  socket.on("close", () => {
    isClosed = true;
    wake();
  });
  return {
    socket,
    text: () => text,
    /** What broke the connection, if anything did. */
    error: () => error,
    send: (part: string | Buffer) => new Promise<void>((resolve) => socket.write(part, () => resolve())),
    /** Resolves with all that came as soon as it fits; rejects when the connection closes before. */
    async until(pattern: RegExp): Promise<string> {
      for (;;) {
        if (pattern.test(text)) return text;
        if (isClosed) throw new Error(`closed before ${pattern} in: ${text}`);
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    async closed(): Promise<string> {
      while (!isClosed) await new Promise<void>((resolve) => waiting.push(resolve));
      return text;
    },
  };
}

/** A POST with a JSON body and a true length, as text. */
export function postText(path: string, body: string, extra: readonly string[] = []): string {
  const lines = [
    `POST ${path} HTTP/1.1`,
    "host: test",
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    ...extra,
  ];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}
