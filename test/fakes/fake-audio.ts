import {
  badField,
  type FakeAsked,
  type FakeReply,
  jsonReply,
  mediaReply,
  textReply,
  typedEvents,
} from "./fake-reply.ts";

/** Samples a second of all sound here: 16 bit, one channel, little-endian. */
export const sampleRate = 8_000;
const samplesPerWord = 400;

/** One piece of sound for each word: a tone that is higher for longer words. */
export function tones(words: readonly string[]): readonly Buffer[] {
  return words.map((word) => {
    const piece = Buffer.alloc(samplesPerWord * 2);
    for (let sample = 0; sample < samplesPerWord; sample++) {
      const wave = Math.sin((2 * Math.PI * (200 + 50 * word.length) * sample) / sampleRate);
      piece.writeInt16LE(Math.round(wave * 8_000), sample * 2);
    }
    return piece;
  });
}

/** A WAV header. Of a stream nobody knows the length yet: it says the most there is, as streaming servers do. */
export function wavHeader(dataBytes = 0xffff_ffff - 36): Buffer {
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(dataBytes + 36, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(dataBytes, 40);
  return header;
}

/** A whole WAV file. */
export function wavFile(words: readonly string[]): Buffer {
  const sound = Buffer.concat(tones(words));
  return Buffer.concat([wavHeader(sound.length), sound]);
}

/** Speaks the input itself, a piece of sound for each of its words. */
export function speech({ fields }: FakeAsked): FakeReply {
  const { input, response_format: format = "wav", stream_format: streamFormat } = fields;
  if (typeof input !== "string" || input === "") return badField("input", "must be a text");
  if (format !== "wav" && format !== "pcm") return badField("response_format", "only wav and pcm are spoken here");
  const words = input.split(/\s+/).filter((word) => word !== "");
  const pieces = format === "wav" ? [wavHeader(), ...tones(words)] : tones(words);
  if (streamFormat !== "sse") return mediaReply(format === "wav" ? "audio/wav" : "audio/pcm", pieces);
  const usage = {
    input_tokens: words.length,
    output_tokens: pieces.length,
    total_tokens: words.length + pieces.length,
  };
  return typedEvents([
    ...pieces.map((piece) => ({ type: "speech.audio.delta", audio: piece.toString("base64") })),
    { type: "speech.audio.done", usage },
  ]);
}

const wordSeconds = 0.5;

/** Hears the model's words in whatever file it gets. */
export function transcription(asked: FakeAsked): FakeReply {
  const { fields, form, words, operation } = asked;
  const file = form?.files.find(({ name }) => name === "file");
  if (file === undefined || file.bytes.length === 0) return badField("file", "must be a sound file");
  const text = words.join("");
  const usage = { type: "tokens", input_tokens: 10, output_tokens: words.length, total_tokens: 10 + words.length };
  if (String(fields.stream) === "true" && operation === "audio.transcriptions.create") {
    return typedEvents([
      ...words.map((delta) => ({ type: "transcript.text.delta", delta })),
      { type: "transcript.text.done", text, usage },
    ]);
  }
  const seconds = words.length * wordSeconds;
  switch (fields.response_format ?? "json") {
    case "json":
      return jsonReply(operation === "audio.transcriptions.create" ? { text, usage } : { text });
    case "text":
      return textReply(`${text}\n`);
    case "srt":
      return textReply(`1\n00:00:00,000 --> 00:00:0${Math.floor(seconds)},000\n${text}\n\n`);
    case "vtt":
      return textReply(`WEBVTT\n\n00:00:00.000 --> 00:00:0${Math.floor(seconds)}.000\n${text}\n\n`);
    case "verbose_json":
      return jsonReply({
        task: taskOf(asked),
        language: "english",
        duration: seconds,
        text,
        segments: segments(words),
      });
    default:
      return badField("response_format", "is none that is known");
  }
}

function taskOf({ operation }: FakeAsked): string {
  return operation === "audio.translations.create" ? "translate" : "transcribe";
}

function segments(words: readonly string[]): readonly object[] {
  return words.map((text, id) => ({
    id,
    seek: 0,
    start: id * wordSeconds,
    end: (id + 1) * wordSeconds,
    text,
    tokens: [id],
    temperature: 0,
    avg_logprob: -0.1,
    compression_ratio: 1,
    no_speech_prob: 0.01,
  }));
}
