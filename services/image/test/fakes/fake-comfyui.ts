import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import { type FakeServer, fixture, type Heard, type Json, type Said, shade, startFake } from "./fake-http.ts";

export interface FakeComfyUi extends FakeServer {
  /** Lets what runs go on to its end; until then it has said that it is half done. */
  finish(): void;
  /** Forgets everything, as a restart does. */
  restart(): void;
  /** How often it was interrupted. */
  readonly interrupted: () => number;
}

interface Prompt {
  readonly id: string;
  readonly nodes: Json;
  readonly client: WebSocket | undefined;
}

export interface FakeComfyUiOptions {
  /** Pictures are made at once. Default true; else `finish` is waited for. */
  readonly isQuick?: boolean;
  /** Answers as newer versions do, with choices under `COMBO`. */
  readonly isNew?: boolean;
}

/** What ComfyUI keeps: one prompt runs, others wait, each ends in the history. */
function createQueue(isQuick: boolean) {
  const queue: Prompt[] = [];
  const history = new Map<string, Json>();
  const tell = (prompt: Prompt, type: string, data: object = {}) =>
    prompt.client?.send(JSON.stringify({ type, data: { prompt_id: prompt.id, ...data } }));
  const begin = (): void => {
    const [prompt] = queue;
    if (prompt === undefined) return;
    tell(prompt, "execution_start");
    tell(prompt, "executing", { node: "sampler" });
    tell(prompt, "progress", { node: "sampler", value: 10, max: 20 });
    prompt.client?.send(Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 0, 0, 2]), shade(99)]));
    if (isQuick) setImmediate(finish);
  };
  const end = (entryOf: (prompt: Prompt) => Json, lastWord: string): void => {
    const prompt = queue.shift();
    if (prompt === undefined) return;
    history.set(prompt.id, entryOf(prompt));
    tell(prompt, lastWord);
    begin();
  };
  const finish = (): void => end(madeEntry, "execution_success");
  const interrupt = (): void => {
    const status = { status_str: "error", completed: false, messages: [["execution_interrupted", {}]] };
    end(() => ({ outputs: {}, status }), "execution_interrupted");
  };
  const add = (prompt: Prompt): void => {
    queue.push(prompt);
    if (queue.length === 1) setImmediate(begin);
  };
  return { queue, history, add, finish, interrupt };
}

function madeEntry({ id, nodes }: Prompt): Json {
  const entry = fixture("comfyui-history-entry", { PROMPT_ID: id });
  const count = nodes.latent?.inputs.batch_size ?? nodes.latent?.inputs.amount ?? 1;
  const [first] = entry.outputs.saved.images;
  entry.outputs.saved.images = Array.from({ length: count }, (_, index) => ({ ...first, filename: `${index}.png` }));
  return entry;
}

/** ComfyUI as far as its API is used. */
export async function startFakeComfyUi(t: TestContext, options: FakeComfyUiOptions = {}): Promise<FakeComfyUi> {
  const clients = new Map<string, WebSocket>();
  const { queue, history, add, finish, interrupt } = createQueue(options.isQuick !== false);
  let interrupted = 0;
  const answers: Readonly<Record<string, (heard: Heard) => Said>> = {
    "GET /system_stats": () => fixture("comfyui-system-stats"),
    "GET /object_info/CheckpointLoaderSimple": () => loaderInfo(options.isNew === true),
    "POST /upload/image": ({ form }) => {
      const file = form?.get("image");
      return file instanceof File ? { name: file.name, subfolder: "", type: form?.get("type") } : 400;
    },
    "POST /prompt": ({ json }) => {
      if (Object.values<Json>(json.prompt).some(({ class_type: type }) => type === undefined)) return 400;
      const id = randomUUID();
      add({ id, nodes: json.prompt, client: clients.get(json.client_id) });
      return { prompt_id: id, number: queue.length, node_errors: {} };
    },
    "GET /queue": () => {
      const items = queue.map(({ id, nodes }) => [0, id, nodes, {}, ["saved"]]);
      return { queue_running: items.slice(0, 1), queue_pending: items.slice(1) };
    },
    "POST /queue": ({ json }) => {
      const at = queue.findIndex(({ id }, index) => index > 0 && json.delete.includes(id));
      if (at > 0) queue.splice(at, 1);
      return 200;
    },
    "POST /interrupt": () => {
      interrupted++;
      interrupt();
      return 200;
    },
    "POST /history": ({ json }) => {
      for (const id of json.delete) history.delete(id);
      return 200;
    },
    "GET /view": ({ url }) => shade(Number.parseInt(url.searchParams.get("filename") ?? "", 10) + 1),
  };
  const fake = await startFake(t, (heard) => {
    const [, id] = /^GET \/history\/(.+)$/.exec(heard.route) ?? [];
    if (id !== undefined) return history.has(id) ? { [id]: history.get(id) } : {};
    return answers[heard.route]?.(heard);
  });
  openSockets(t, fake, clients);
  const restart = (): void => {
    queue.length = 0;
    history.clear();
  };
  return { ...fake, finish, restart, interrupted: () => interrupted };
}

function openSockets(t: TestContext, { server }: FakeServer, clients: Map<string, WebSocket>): void {
  const sockets = new WebSocketServer({ server, path: "/ws" });
  sockets.on("connection", (socket, request) => {
    const id = new URL(request.url ?? "/", "http://fake").searchParams.get("clientId") ?? "";
    clients.set(id, socket);
    socket.send(JSON.stringify({ type: "status", data: { status: { exec_info: { queue_remaining: 0 } }, sid: id } }));
  });
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
  });
}

function loaderInfo(isNew: boolean): object {
  const info = fixture("comfyui-object-info");
  const { required } = info.CheckpointLoaderSimple.input;
  if (isNew) required.ckpt_name = ["COMBO", { options: required.ckpt_name[0], multiselect: false }];
  return info;
}
