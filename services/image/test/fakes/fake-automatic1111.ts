import type { TestContext } from "node:test";
import { type FakeServer, fixture, type Heard, type Json, type Said, shade, startFake } from "./fake-http.ts";

export interface FakeAutomatic1111 extends FakeServer {
  /** Lets what runs end. */
  finish(): void;
  readonly interrupted: () => number;
}

/** AUTOMATIC1111 as far as its API is used: an answer comes when its pictures are made, or were interrupted. */
export async function startFakeAutomatic1111(
  t: TestContext,
  { isQuick = true }: { readonly isQuick?: boolean } = {},
): Promise<FakeAutomatic1111> {
  let interrupted = 0;
  let finish = (): void => {};
  const make = async (json: Json): Promise<Said> => {
    if (!isQuick) {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    }
    const pictures = Array.from({ length: json.batch_size }, (_, index) => shade(index + 1).toString("base64"));
    const grid = json.batch_size > 1 ? [shade(0).toString("base64")] : [];
    return { images: [...pictures, ...grid], parameters: json, info: JSON.stringify({ seed: json.seed }) };
  };
  const answer = ({ route, json }: Heard): Promise<Said> | Said | undefined => {
    switch (route) {
      case "GET /sdapi/v1/sd-models":
        return fixture("automatic1111-models");
      case "GET /sdapi/v1/options":
        return fixture("automatic1111-options");
      case "GET /sdapi/v1/progress":
        return { ...fixture("automatic1111-progress"), current_image: shade(99).toString("base64") };
      case "POST /sdapi/v1/interrupt":
        interrupted++;
        finish();
        return {};
      case "POST /sdapi/v1/txt2img":
      case "POST /sdapi/v1/img2img":
        return make(json);
    }
    return undefined;
  };
  const fake = await startFake(t, answer);
  return { ...fake, finish: () => finish(), interrupted: () => interrupted };
}
