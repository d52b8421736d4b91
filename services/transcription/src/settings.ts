import { homedir } from "node:os";
import { join } from "node:path";
import { NexusError } from "nexus/base";
import { defaultTranscriptionModelId } from "nexus/blobs";

/** How this service is set up, beyond what every service reads. */
export interface TranscriptionSettings {
  /** The model that must be here for the service to be ready: an id of the catalogue, or the path of a ggml file. */
  readonly model: string;
  readonly modelsDirectory: string;
  readonly threads: number;
  /** Longer sound is refused. */
  readonly secondsMax: number;
  /** A libwhisper to use instead of the one that is installed with this service. */
  readonly library: string | undefined;
}

/**
 * Reads `NEXUS_TRANSCRIPTION_MODEL`, `NEXUS_MODELS_DIR`, `NEXUS_TRANSCRIPTION_THREADS`, `NEXUS_TRANSCRIPTION_SECONDS` and
 * `NEXUS_WHISPER_LIBRARY`; empty means unset. Defaults: Whisper Base, `models` in the data directory, all cores but one
 * (whisper.cpp's threads wait for each other in busy loops: two on two cores that others use too took twice as long as
 * one), and two hours, which take 460 MB of memory.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readTranscriptionSettings(
  variables: Readonly<Record<string, string | undefined>>,
  cores: number,
  dataDirectory: string | undefined,
): TranscriptionSettings {
  const integer = (name: string, fallback: number, max: number): number => {
    const value = Number(variables[name] || fallback);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new NexusError("invalid_request", `${name} must be a whole number from 1 to ${max}.`);
  };
  const data = dataDirectory ?? join(homedir(), ".nexus");
  return {
    model: variables.NEXUS_TRANSCRIPTION_MODEL || defaultTranscriptionModelId,
    modelsDirectory: variables.NEXUS_MODELS_DIR || join(data, "models"),
    threads: Math.min(cores, integer("NEXUS_TRANSCRIPTION_THREADS", Math.max(1, cores - 1), 256)),
    secondsMax: integer("NEXUS_TRANSCRIPTION_SECONDS", 2 * 60 * 60, 24 * 60 * 60),
    library: variables.NEXUS_WHISPER_LIBRARY || undefined,
  };
}
