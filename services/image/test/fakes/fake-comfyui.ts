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

/** ComfyUI as far as its API is used: one prompt runs, others wait, each ends in the history. */
export async function startFakeComfyUi(t: TestContext, options: FakeComfyUiOptions = {}): Promise<FakeComfyUi> {
  const clients = new Map<string, WebSocket>();
  const queue: Prompt[] = [];
  const history = new Map<string, Json>();
  let interrupted = 0;

  const tell = (prompt: Prompt, type: string, data: object = {}) =>
    prompt.client?.send(JSON.stringify({ type, data: { prompt_id: prompt.id, ...data } }));
  const begin = (): void => {
    const [prompt] = queue;
    if (prompt === undefined) return;
    tell(prompt, "execution_start");
    tell(prompt, "executing", { node: "sampler" });
    tell(prompt, "progress", { node: "sampler", value: 10, max: 20 });
    const preview = Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 0, 0, 2]), shade(99)]);
    prompt.client?.send(preview);
    if (options.isQuick !== false) setImmediate(finish);
  };
  const end = (entryOf: (prompt: Prompt) => Json, lastWord: string): void => {
    const prompt = queue.shift();
    if (prompt === undefined) return;
    history.set(prompt.id, entryOf(prompt));
    tell(prompt, lastWord);
    begin();
  };
  const finish = (): void =>
    end((prompt) => {
      const entry = fixture("comfyui-history-entry", { PROMPT_ID: prompt.id });
      const count = prompt.nodes.latent?.inputs.batch_size ?? prompt.nodes.latent?.inputs.amount ?? 1;
      const [first] = entry.outputs.saved.images;
      entry.outputs.saved.images = Array.from({ length: count }, (_, index) => ({
        ...first,
        filename: `${index}.png`,
      }));
      return entry;
    }, "execution_success");
  const interrupt = (): void => {
    interrupted++;
    const status = { status_str: "error", completed: false, messages: [["execution_interrupted", {}]] };
    end(() => ({ outputs: {}, status }), "execution_interrupted");
  };

  const answer = ({ route, url, json, form }: Heard): Said | undefined => {
    if (route.startsWith("GET /history/")) {
      const id = url.pathname.slice("/history/".length);
      return history.has(id) ? { [id]: history.get(id) } : {};
    }
    switch (route) {
      case "GET /system_stats":
        return fixture("comfyui-system-stats");
      case "GET /object_info/CheckpointLoaderSimple":
        return loaderInfo(options.isNew === true);
      case "POST /upload/image": {
        const file = form?.get("image") as File;
        return { name: file.name, subfolder: "", type: form?.get("type") };
      }
      case "POST /prompt": {
        const prompt: Prompt = { id: randomUUID(), nodes: json.prompt, client: clients.get(json.client_id) };
        if (Object.values<Json>(json.prompt).some(({ class_type: type }) => type === undefined)) return 400;
        queue.push(prompt);
        if (queue.length === 1) setImmediate(begin);
        return { prompt_id: prompt.id, number: queue.length, node_errors: {} };
      }
      case "GET /queue": {
        const [running, ...pending] = queue.map(({ id, nodes }) => [0, id, nodes, {}, ["saved"]]);
        return { queue_running: running === undefined ? [] : [running], queue_pending: pending };
      }
      case "POST /queue": {
        const at = queue.findIndex(({ id }, index) => index > 0 && json.delete.includes(id));
        if (at > 0) queue.splice(at, 1);
        return 200;
      }
      case "POST /interrupt":
        interrupt();
        return 200;
      case "POST /history":
        for (const id of json.delete) history.delete(id);
        return 200;
      case "GET /view":
        return shade(Number.parseInt(url.searchParams.get("filename") ?? "", 10) + 1);
    }
    return undefined;
  };
  const fake = await startFake(t, answer);
  const sockets = new WebSocketServer({ server: fake.server, path: "/ws" });
  sockets.on("connection", (socket, request) => {
    const id = new URL(request.url ?? "/", "http://fake").searchParams.get("clientId") ?? "";
    clients.set(id, socket);
    socket.send(JSON.stringify({ type: "status", data: { status: { exec_info: { queue_remaining: 0 } }, sid: id } }));
  });
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
  });
  return {
    ...fake,
    finish,
    restart() {
      queue.length = 0;
      history.clear();
    },
    interrupted: () => interrupted,
  };
}

function loaderInfo(isNew: boolean): object {
  const info = fixture("comfyui-object-info");
  const { required } = info.CheckpointLoaderSimple.input;
  if (isNew) required.ckpt_name = ["COMBO", { options: required.ckpt_name[0], multiselect: false }];
  return info;
}
