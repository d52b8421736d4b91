import type { TestContext } from "node:test";
import { type FakeServer, fixture, type Heard, type Said, shade, startFake } from "./fake-http.ts";

/** A server of OpenAI's shape. With `links` it answers with links to itself, or to where it is told. */
export async function startFakeOpenAiImages(
  t: TestContext,
  { links, isQuick = true }: { readonly links?: string; readonly isQuick?: boolean } = {},
): Promise<FakeServer> {
  const answer = ({ route, json, form }: Heard): Promise<Said> | Said | undefined => {
    switch (route) {
      case "GET /v1/models":
        return fixture("openai-models");
      case "GET /generated/0.png":
        return shade(77);
      case "POST /v1/images/generations":
      case "POST /v1/images/edits": {
        if (!isQuick) return new Promise<never>(() => {});
        if (links !== undefined) return { created: 1, data: [{ url: links }] };
        const count = Number(json?.n ?? form?.get("n") ?? 1);
        const answers = Array.from({ length: count }, (_, index) =>
          fixture("openai-images", { PICTURE: shade(index + 1).toString("base64") }),
        );
        return { created: 1, data: answers.flatMap(({ data }) => data) };
      }
    }
    return undefined;
  };
  return await startFake(t, answer);
}
