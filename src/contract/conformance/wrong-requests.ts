import type { Operation } from "../operations.ts";
import type { Asking } from "./probe.ts";
import { form } from "./samples.ts";

/** Requests that are wrong in one way each, written as an operation takes them. */
export interface WrongRequests {
  readonly contentType: string;
  /** It breaks off. */
  readonly unreadable: Asking;
  readonly withoutModel: Asking;
  /** It has what every operation needs, for a model that nobody has: a model is looked for before anything else. */
  readonly unknownModel: Asking;
  /** Fields have the wrong type. */
  badField(model: string): Asking;
}

const method = "POST";
const unknown = "no-such-model";

const inJson: WrongRequests = {
  contentType: "application/json",
  unreadable: { body: '{"model": ' },
  withoutModel: { body: {} },
  unknownModel: {
    method,
    body: {
      model: unknown,
      messages: [{ role: "user", content: "Hi" }],
      max_tokens: 1,
      input: "Hi",
      prompt: "Hi",
      query: "Hi",
      documents: ["Hi"],
    },
  },
  badField: (model) => ({ body: { model, messages: 7, input: 7, prompt: { no: "text" } } }),
};

const formType = "multipart/form-data; boundary=end";

/** Fields of forms are texts: wrong is a text in the place of a number, or of a file. */
const inForm: WrongRequests = {
  contentType: formType,
  unreadable: { headers: { "content-type": formType }, body: "--end\r\nContent-Disposition: form-data" },
  withoutModel: { body: form({ nothing: "of use" }) },
  unknownModel: { method, body: form({ model: unknown, prompt: "Hi" }, { file: [new Blob(["Hi"]), "sample.wav"] }) },
  badField: (model) => ({ body: form({ model, file: "no file", image: "no file", temperature: "warm", n: "many" }) }),
};

/** Where the client may choose, it is JSON. */
export function wrongRequests({ body }: Operation): WrongRequests {
  return body === "multipart" ? inForm : inJson;
}
