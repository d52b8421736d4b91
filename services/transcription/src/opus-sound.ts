/** Packets of Opus, still packed, as files hold them. */
export interface OpusSound {
  readonly frames: readonly Uint8Array[];
  readonly channels: number;
  /** Samples at 48 kHz to be thrown away at the start. */
  readonly preSkip: number;
}
