/** Speaks, and does nothing else meanwhile. */
export interface Speaker {
  readonly sampleRate: number;
  /** @throws UnknownVoiceError */
  speak(utterance: { readonly text: string; readonly voice: string; readonly speed: number }): Float32Array;
}

/** The client has named a voice that is not there. */
export class UnknownVoiceError extends Error {}
