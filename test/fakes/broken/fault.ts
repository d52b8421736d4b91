import type { IncomingMessage } from "node:http";

/** An answer of the service behind the fault, whole. */
export interface WholeAnswer {
  status: number;
  headers: Record<string, string>;
  /** As UTF-8, or of sound and pictures a character for each byte. */
  text: string;
}

// biome-ignore lint/suspicious/noExplicitAny: what is spoiled has every shape there is
export type Json = any;

/** One thing that a service does wrong. */
export interface Fault {
  /** Id of the conformance check that must find it, and no other does. */
  readonly breaks: string;
  readonly defect: string;
  /** What the sound service behind it takes: nothing but forms. Default: every operation there is. */
  readonly of?: "forms";
  /** Which requests it is about. */
  readonly concerns: (request: IncomingMessage, body: string) => boolean;
  /** Changes a whole answer. */
  readonly spoil?: (answer: WholeAnswer, request: IncomingMessage) => void | Promise<void>;
  /** How many of the requests are worked on at once. */
  readonly atOnce?: number;
  /** How long the service goes on after its client has left. */
  readonly worksOnMs?: number;
  /** What it says in conversations. */
  readonly say?: (event: Json) => Json;
  /** Opens conversations that it should refuse. */
  readonly opensAll?: true;
  /** The code with which it closes conversations. */
  readonly closesWith?: number;
  /** What it does as a process: cuts its answers at SIGTERM, fails after that, or hides where it listens. */
  readonly process?: "cuts" | "fails" | "hides";
}

/** Changes a JSON answer. */
export const json =
  (change: (value: Json) => Json) =>
  (answer: WholeAnswer): void => {
    const value = JSON.parse(answer.text);
    answer.text = JSON.stringify(change(value) ?? value);
  };

export const status =
  (code: number) =>
  (answer: WholeAnswer): void => {
    answer.status = code;
  };

export const text =
  (change: (text: string) => string) =>
  (answer: WholeAnswer): void => {
    answer.text = change(answer.text);
  };

export const wait = (ms: number) => () => new Promise<void>((resolve) => setTimeout(resolve, ms));

export const at =
  (...paths: string[]) =>
  (request: IncomingMessage) =>
    paths.includes(request.url ?? "");

/** The metadata and the descriptor that repeats them. */
export const description = (request: IncomingMessage) =>
  request.method === "GET" && at("/v1/metadata", "/v1/descriptor")(request);

const chatPath = "/v1/chat/completions";

/** Chats whose bodies have all these parts. */
export const chats =
  (...parts: readonly string[]) =>
  (request: IncomingMessage, body: string) =>
    request.url === chatPath && parts.every((part) => body.includes(part));

export const isChat = at(chatPath);
