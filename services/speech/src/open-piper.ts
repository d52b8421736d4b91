import type { PiperFiles } from "./engine-messages.ts";
import type { Speaker } from "./speaker.ts";

/** The part of sherpa-onnx that is used. */
interface SherpaOnnx {
  createOfflineTts(config: object): {
    readonly sampleRate: number;
    generate(request: { text: string; sid: number; speed: number }): { samples: Float32Array };
  };
}

/** Piper's own defaults, as its voices are published with: how much a voice varies in tone and in pace. */
const variation = { noiseScale: 0.667, noiseScaleW: 0.8, lengthScale: 1 };

/** Opens a Piper voice with sherpa-onnx, in WebAssembly. */
export async function openPiper({ model, tokens, espeakData }: PiperFiles): Promise<Speaker> {
  const { default: sherpa } = (await import("sherpa-onnx")) as unknown as { default: SherpaOnnx };
  const voice = sherpa.createOfflineTts({
    offlineTtsModelConfig: {
      offlineTtsVitsModelConfig: { model, tokens, dataDir: espeakData, lexicon: "", ...variation },
      numThreads: 1,
      debug: 0,
      provider: "cpu",
    },
    maxNumSentences: 1,
  });
  return {
    sampleRate: voice.sampleRate,
    // What it gives is a view of memory that it writes to again.
    speak: ({ text, speed }) => Float32Array.from(voice.generate({ text, sid: 0, speed }).samples),
  };
}
