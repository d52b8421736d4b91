/** A picture as a file. */
export interface Picture {
  readonly bytes: Buffer;
  readonly type: "image/png" | "image/jpeg" | "image/webp";
}

/** A picture that is changed. */
export interface Source {
  readonly image: Picture;
  /** A grey PNG of the picture's size: white is changed, black is kept. */
  readonly mask: Picture | undefined;
  /** 0 keeps the picture, 1 takes nothing but its size. */
  readonly strength: number;
}

/** What a backend is asked to make: everything has a value, whatever the client left out. */
export interface ImageOrder {
  /** An id of the backend's own. */
  readonly model: string;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly width: number;
  readonly height: number;
  readonly count: number;
  readonly seed: number;
  readonly steps: number;
  /** How closely the prompt is followed (classifier-free guidance). */
  readonly guidance: number;
  readonly source: Source | undefined;
  /** Fields of OpenAI's API that only servers of its shape know, as the client sent them. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** How far a backend is. */
export interface Progress {
  /** 0 to 1. */
  readonly fraction: number;
  /** The picture as it looks by now, where the backend shows it. */
  readonly preview: Picture | undefined;
}
