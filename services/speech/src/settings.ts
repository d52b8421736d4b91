import { homedir } from "node:os";
import { join } from "node:path";
import { NexusError } from "nexus/base";
import { defaultVoiceModelId } from "nexus/blobs";

/** The model that needs no weights. */
export const espeakModelId = "espeak-ng";

/** How this service is set up, beyond what every service reads. */
export interface SpeechSettings {
  /** The neural voice to fetch, an id of the catalogue; undefined for none. */
  readonly voiceModel: string | undefined;
  readonly modelsDirectory: string;
  /** Where voices are kept as they are opened. */
  readonly workDirectory: string;
  /** Texts at once; they take turns, piece by piece. */
  readonly parallel: number;
}

/**
 * Reads `NEXUS_SPEECH_MODEL`, `NEXUS_MODELS_DIR` and `NEXUS_SPEECH_PARALLEL`; empty means unset. Defaults: the catalogue's
 * Piper voice (`espeak-ng` fetches none), `models` in the data directory, and 4.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readSpeechSettings(
  variables: Readonly<Record<string, string | undefined>>,
  dataDirectory: string | undefined,
): SpeechSettings {
  const data = dataDirectory ?? join(homedir(), ".nexus");
  const parallel = Number(variables.NEXUS_SPEECH_PARALLEL || 4);
  if (!Number.isInteger(parallel) || parallel < 1 || parallel > 64) {
    throw new NexusError("invalid_request", "NEXUS_SPEECH_PARALLEL must be a whole number from 1 to 64.");
  }
  const model = variables.NEXUS_SPEECH_MODEL || defaultVoiceModelId;
  return {
    voiceModel: model === espeakModelId ? undefined : model,
    modelsDirectory: variables.NEXUS_MODELS_DIR || join(data, "models"),
    workDirectory: join(data, "speech"),
    parallel,
  };
}
