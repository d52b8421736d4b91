import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type FakeServer, type Heard, type Json, type Said, startFake } from "./fake-http-server.ts";

export interface FakeComfyUi extends FakeServer {
  /** Lets what runs end. */
  finish(): void;
  /** Prompts that wait or run. */
  readonly queue: { readonly id: string; readonly nodes: Json }[];
  readonly interrupted: () => number;
}

/** ComfyUI as far as its API is used (`server.py`, 0.3): one prompt runs, others wait, each ends in the history. */
export async function startFakeComfyUi(t: TestContext, filename: string): Promise<FakeComfyUi> {
  const queue: FakeComfyUi["queue"] = [];
  const history = new Map<string, Json>();
  let interrupted = 0;
  const end = (outputs: object, word: string): void => {
    const prompt = queue.shift();
    if (prompt !== undefined)
      history.set(prompt.id, { outputs, status: { status_str: word, completed: word === "success" } });
  };
  const item = ({ id, nodes }: { id: string; nodes: Json }) => [0, id, nodes, {}, ["9"]];
  const answer = ({ route, url, json }: Heard): Said | undefined => {
    const [, id] = /^GET \/history\/(.+)$/.exec(route) ?? [];
    if (id !== undefined) return history.has(id) ? { [id]: history.get(id) } : {};
    switch (route) {
      case "GET /system_stats":
        return { system: { os: "posix", comfyui_version: "0.3.44" }, devices: [] };
      case "POST /prompt":
        queue.push({ id: randomUUID(), nodes: json.prompt });
        return { prompt_id: queue.at(-1)?.id, number: queue.length, node_errors: {} };
      case "GET /queue":
        return { queue_running: queue.slice(0, 1).map(item), queue_pending: queue.slice(1).map(item) };
      case "POST /queue": {
        const at = queue.findIndex((one, index) => index > 0 && json.delete.includes(one.id));
        if (at > 0) queue.splice(at, 1);
        return 200;
      }
      case "POST /interrupt":
        interrupted++;
        end({}, "error");
        return 200;
      case "POST /history":
        for (const one of json.delete) history.delete(one);
        return 200;
      case "GET /view":
        return { type: "application/octet-stream", bytes: Buffer.from(`the file ${url.searchParams.get("filename")}`) };
    }
    return undefined;
  };
  const fake = await startFake(t, answer);
  const saved = [
    { filename: "preview.png", subfolder: "", type: "temp" },
    { filename, subfolder: "made", type: "output" },
  ];
  return {
    ...fake,
    queue,
    finish: () => end({ 9: { gifs: saved, animated: [true] } }, "success"),
    interrupted: () => interrupted,
  };
}
