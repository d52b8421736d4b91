import type { Domain } from "../contract/metadata.ts";

/** By what model families are called. The first that matches counts. */
const patterns: readonly (readonly [RegExp, Domain])[] = [
  [/rerank/, "rerank"],
  [/embed|minilm|(?:^|[^a-z])(?:bge|gte|e5|arctic-embed|jina-v\d)(?:[^a-z]|$)/, "embedding"],
  [/moderation|(?:^|[^a-z])(?:llama|shield|prompt)-?guard/, "moderation"],
  [/whisper|transcri|(?:^|[^a-z])(?:asr|stt)(?:[^a-z]|$)/, "transcription"],
  [/(?:^|[^a-z])tts(?:[^a-z]|$)|kokoro|piper|text-to-speech/, "speech"],
  [/dall-?e|gpt-image|stable-?diffusion|sdxl|(?:^|[^a-z])(?:sd|flux)[.-]?\d/, "image"],
  [/(?:^|[^a-z])(?:sora|veo)(?:[^a-z]|$)|text-to-video/, "video"],
];

/**
 * What a model is for, guessed from its name. Only for servers that list names and say nothing else about them; what a
 * name does not give away is a chat model, as nearly all of them are.
 */
export function guessDomains(modelId: string): Domain[] {
  const name = modelId.toLowerCase();
  const match = patterns.find(([pattern]) => pattern.test(name));
  return [match?.[1] ?? "chat"];
}
