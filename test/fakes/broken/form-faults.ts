import type { IncomingMessage } from "node:http";
import { type Fault, json, status } from "./fault.ts";

const isForm = (headers: IncomingMessage["headers"]) => headers["content-type"]?.startsWith("multipart/") === true;

/** Forms of which this is true. */
const forms =
  (isIt: (form: string) => boolean) =>
  ({ headers }: IncomingMessage, body: string) =>
    body !== "" && isForm(headers) && isIt(body);
const formsWith = (part: string) => forms((form) => form.includes(part));

/** A fault for each rule about wrong requests, of services that take nothing but forms. */
export const formFaults: readonly Fault[] = [
  {
    of: "forms",
    breaks: "errors.invalid-json",
    defect: "a form that breaks off is a failure of the server",
    concerns: forms((form) => !form.endsWith("--\r\n")),
    spoil: status(500),
  },
  {
    of: "forms",
    breaks: "errors.missing-model",
    defect: "a form without a model is taken for any",
    concerns: formsWith('name="nothing"'),
    spoil: status(200),
  },
  {
    of: "forms",
    breaks: "errors.unknown-model",
    defect: "an unknown model in a form has a code of its own",
    concerns: formsWith("no-such-model"),
    spoil: json(({ error }) => ({ error: { ...error, code: "whatever" } })),
  },
  {
    of: "forms",
    breaks: "errors.bad-field",
    defect: "a text in the place of a file is a failure of the server",
    concerns: formsWith("no file"),
    spoil: status(500),
  },
  {
    of: "forms",
    breaks: "errors.too-large",
    defect: "a form of 1 TiB is only a bad request",
    concerns: ({ headers }) => headers.expect !== undefined && isForm(headers),
    spoil: status(400),
  },
];
