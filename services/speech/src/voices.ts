import { NexusError } from "nexus/base";
import { espeakModelId } from "./settings.ts";

/** OpenAI's voices, as the nearest that eSpeak NG has: an accent, and `+` one of its variants. */
export const openAiVoices: Readonly<Record<string, string>> = {
  alloy: "en-us",
  ash: "en-us+m3",
  ballad: "en-gb+m1",
  coral: "en-us+f2",
  echo: "en-us+m1",
  fable: "en-gb",
  nova: "en-us+f3",
  onyx: "en-us+m7",
  sage: "en-gb+f1",
  shimmer: "en-us+f4",
  verse: "en-us+m2",
  marin: "en-us+f1",
  cedar: "en-us+m4",
};

/** Languages that are shown for choice; eSpeak NG knows a hundred more, each by its tag. */
export const shownLanguages = [
  "en-us",
  "en-gb",
  "de",
  "fr-fr",
  "es",
  "it",
  "nl",
  "pl",
  "pt-br",
  "ru",
  "tr",
  "cmn",
  "ja",
];

/** A tag of a language as eSpeak NG has them, and perhaps a variant: `de`, `fr-fr`, `en-gb+f2`. Nothing else gets through. */
const voicePattern = /^[a-z]{2,3}(?:-[a-z0-9]{1,8}){0,4}(?:\+[A-Za-z0-9]{1,16})?$/;

/**
 * What eSpeak NG calls the voice that a client names.
 * @throws NexusError `invalid_request`
 */
export function espeakVoice(name: string): string {
  const voice = openAiVoices[name.toLowerCase()] ?? name;
  if (voicePattern.test(voice)) return voice;
  throw unknownVoice(name);
}

/**
 * Lets a client have the one voice of an English model: under any of OpenAI's names, and under the tag of its language.
 * @throws NexusError `invalid_request` for other languages, which it would read as if they were English.
 */
export function checkEnglish(name: string, model: string): void {
  if (/^en(?:[-+]|$)/.test(espeakVoice(name))) return;
  throw new NexusError(
    "invalid_request",
    `${model} speaks English only. The model ${espeakModelId} has the voice ${JSON.stringify(name)}.`,
    { param: "voice" },
  );
}

export function unknownVoice(name: string): NexusError {
  const known = Object.keys(openAiVoices).join(", ");
  return new NexusError(
    "invalid_request",
    `There is no voice ${JSON.stringify(name.slice(0, 64))}. There are ${known}, and the tags of languages, such as de or fr-fr.`,
    { param: "voice" },
  );
}
