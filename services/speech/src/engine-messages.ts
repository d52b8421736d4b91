/** What the service asks of an engine: one thing at a time. */
export type EngineJob =
  | { readonly kind: "open"; readonly voice: PiperFiles | null }
  | { readonly kind: "speak"; readonly text: string; readonly voice: string; readonly speed: number };

/** A Piper voice as it lies on the disk. */
export interface PiperFiles {
  readonly model: string;
  readonly tokens: string;
  /** eSpeak NG's data, which says how words are spoken. */
  readonly espeakData: string;
}

/** What it says to it: each job is answered once. */
export type EngineMessage =
  | { readonly kind: "opened"; readonly sampleRate: number }
  | { readonly kind: "sound"; readonly samples: Float32Array }
  | { readonly kind: "failed"; readonly isVoiceUnknown: boolean; readonly message: string };
