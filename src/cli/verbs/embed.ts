import { writeFile } from "node:fs/promises";
import { askGateway } from "../ask-gateway.ts";
import { findOutput } from "../find-output.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { inBatches, readTexts } from "../read-texts.ts";
import { firstServedModel } from "../served-models.ts";
import type { Terminal } from "../terminal.ts";
import type { Verb } from "../verb.ts";

export interface EmbedFlags extends DataFlag, JsonFlag {
  readonly model?: string;
  readonly file?: string;
  readonly dimensions?: number;
  readonly as?: "query" | "document";
  readonly output?: string;
}

interface EmbeddingsAnswer {
  readonly model: string;
  readonly data: readonly { readonly embedding: readonly number[] }[];
  readonly usage?: { readonly total_tokens?: number };
}

/** `nexus embed [TEXT...]`: the vector of each text, a line each. */
export const embed: Verb<EmbedFlags, string[]> = async ({ context }, flags, ...words) => {
  const usage = 'Write nexus embed "a text", nexus embed --file texts.txt, or pipe a text a line into it.';
  const place = flags.output === undefined ? undefined : await findOutput(context, flags.output);
  const texts = await readTexts(context, { words, file: flags.file, usage });
  const gateway = await findPlatform(context, flags).gateway();
  const { signal } = context.interrupts;
  const asked =
    flags.model ?? (await firstServedModel(gateway, { domain: "embedding", service: "embeddings", signal }));
  const answers = await inBatches(context, texts, async (input) => {
    const body = {
      model: asked,
      input,
      ...(flags.dimensions === undefined ? {} : { dimensions: flags.dimensions }),
      ...(flags.as === undefined ? {} : { input_type: flags.as }),
    };
    return (await askGateway(gateway, { path: "/v1/embeddings", body, signal })) as EmbeddingsAnswer;
  });
  const vectors = answers.flatMap(({ data }) => data.map(({ embedding }) => embedding));
  const tokens = answers.reduce((sum, answer) => sum + (answer.usage?.total_tokens ?? 0), 0);
  const model = answers[0]?.model ?? asked;
  const embeddings = vectors.map((embedding, index) => ({ text: texts[index] ?? "", embedding }));
  const lines = embeddings.map(({ embedding }) => JSON.stringify(embedding));
  if (place !== undefined) await writeFile(place, `${lines.join("\n")}\n`);
  return {
    json: { model, dimensions: vectors[0]?.length ?? 0, tokens, embeddings },
    text:
      flags.output === undefined && !context.terminal.isInteractive
        ? lines
        : summary(context.terminal, { model, tokens, embeddings, output: flags.output }),
  };
};

interface Embedded {
  readonly model: string;
  readonly tokens: number;
  readonly embeddings: readonly { readonly text: string; readonly embedding: readonly number[] }[];
  readonly output: string | undefined;
}

/** For people, who read no vectors: the beginning of each. */
function summary(terminal: Terminal, { model, tokens, embeddings, output }: Embedded): string[] {
  const dimensions = embeddings[0]?.embedding.length ?? 0;
  const head = `${embeddings.length} ${embeddings.length === 1 ? "vector" : "vectors"} of ${dimensions} dimensions by ${model}, ${tokens} tokens`;
  if (output !== undefined) return [`${head}, in ${output}.`];
  const rows = embeddings.map(({ text, embedding }) => [
    `${embedding
      .slice(0, 4)
      .map((value) => value.toFixed(4).padStart(7))
      .join(" ")} …`,
    text,
  ]);
  return [...terminal.table(rows), "", `${head}. \`--output FILE\`, \`--json\` or a pipe get all of them.`];
}
