import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How the server treats one request. Each field is a way of going wrong or a feature that it lacks. */
export interface FileServerBehaviour {
  /** Default true: answers `Range` with 206. */
  readonly hasRanges?: boolean;
  /** Default `"v1"` in quotes; null sends none. */
  readonly etag?: string | null;
  /** Sends no more than so many bytes and keeps the connection open, until `breakConnections`. */
  readonly stallAfterBytes?: number;
  readonly status?: number;
  readonly redirectTo?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends the body without a length. */
  readonly isChunked?: boolean;
}

export interface FakeFileServer {
  readonly url: string;
  /** Every request so far: its path and its `Range`. */
  readonly requests: { readonly path: string; readonly range: string | undefined }[];
  /** The behaviour of the next requests, one each; after the last of them, whole answers again. */
  next(...behaviours: readonly FileServerBehaviour[]): void;
  /** What is served from now on; forgets planned behaviours and past requests. */
  serve(content: Buffer): void;
  /** Breaks every connection, as a server that dies. */
  breakConnections(): void;
  close(): Promise<void>;
}

/** Serves one file under every path, over a real socket, and misbehaves as told. */
export async function startFakeFileServer(initial: Buffer): Promise<FakeFileServer> {
  let content = initial;
  const queue: FileServerBehaviour[] = [];
  const requests: FakeFileServer["requests"] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? "", range: request.headers.range });
    answer(request, response, content, queue.shift() ?? {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    next: (...behaviours) => void queue.push(...behaviours),
    serve(next) {
      content = next;
      queue.length = 0;
      requests.length = 0;
    },
    breakConnections: () => server.closeAllConnections(),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, content: Buffer, how: FileServerBehaviour): void {
  if (how.redirectTo !== undefined) {
    response.writeHead(302, { location: how.redirectTo, ...how.headers }).end();
    return;
  }
  if (how.status !== undefined) {
    response.writeHead(how.status, how.headers).end("no");
    return;
  }
  const etag = how.etag === undefined ? '"v1"' : how.etag;
  const from = startOf(request, how, etag);
  const body = content.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, {
    ...(etag === null ? {} : { etag }),
    ...(how.isChunked === true ? {} : { "content-length": body.length }),
    ...(from > 0 ? { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
    ...how.headers,
  });
  if (how.stallAfterBytes === undefined) response.end(body);
  else response.write(body.subarray(0, how.stallAfterBytes));
}

function startOf(request: IncomingMessage, how: FileServerBehaviour, etag: string | null): number {
  const asked = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const condition = request.headers["if-range"];
  if (how.hasRanges === false || (condition !== undefined && condition !== etag)) return 0;
  return asked;
}
