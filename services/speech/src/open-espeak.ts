import { toFloat } from "nexus/audio";
import { type Speaker, UnknownVoiceError } from "./speaker.ts";

/** The part of eSpeak NG's worker that is used. */
interface EspeakWorker {
  /** 0 when there is such a voice. */
  set_voice(name: string): number;
  /** Words a minute. */
  set_rate(words: number): void;
  get_samplerate(): number;
  /** Calls back with sound until there is no more. */
  synthesize(text: string, onSound: (samples: Int16Array | undefined) => void): void;
}

/** What eSpeak NG takes for its normal pace, and the least and most that it can: https://espeak.sourceforge.net */
const wordsPerMinute = { normal: 175, least: 80, most: 450 };

/** Opens eSpeak NG: a hundred languages, quick, and plainly a machine. */
export async function openEspeak(): Promise<Speaker> {
  const { default: load } = (await import("@echogarden/espeak-ng-emscripten")) as {
    default: () => Promise<{ eSpeakNGWorker: new () => EspeakWorker }>;
  };
  const module = await load();
  const worker = new module.eSpeakNGWorker();
  return {
    sampleRate: worker.get_samplerate(),
    speak({ text, voice, speed }) {
      if (worker.set_voice(voice) !== 0) throw new UnknownVoiceError(voice);
      const { normal, least, most } = wordsPerMinute;
      worker.set_rate(Math.round(Math.min(most, Math.max(least, normal * speed))));
      const parts: Int16Array[] = [];
      worker.synthesize(plain(text), (samples) => {
        if (samples !== undefined && samples.length > 0) parts.push(samples);
      });
      return toFloat(join(parts));
    },
  };
}

/** eSpeak NG takes `[[` for the start of phonemes. */
function plain(text: string): string {
  return text.replaceAll("[[", "[ [");
}

function join(parts: readonly Int16Array[]): Int16Array {
  const whole = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
