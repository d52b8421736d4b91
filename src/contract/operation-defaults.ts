/** A chat's first token: an 8 B model reads a 30,000 token prompt in about that long on one consumer GPU. */
const textMs = 60_000;
/** Diffusion on a laptop's GPU, or an hour of sound transcribed on a CPU; OpenAI's own clients wait ten minutes too. */
const mediaMs = 600_000;

/** Takes JSON that names its model, answers in JSON, harmless to repeat. */
export const textWork = {
  method: "POST",
  owner: "instance",
  model: "body",
  body: "json",
  idempotent: true,
  costly: false,
  firstTokenMs: textMs,
  usual: true,
} as const;

/** Reads sound or pictures: slow, and harmless to repeat. */
export const mediaReading = { ...textWork, firstTokenMs: mediaMs } as const;

/** Makes pictures, films or music: slow and dear. */
export const mediaMaking = { ...mediaReading, idempotent: false, costly: true } as const;

/** Looks at a job on the instance that has it. */
export const jobReading = {
  method: "GET",
  owner: "instance",
  model: "none",
  body: "none",
  idempotent: true,
  costly: false,
  firstTokenMs: textMs,
  usage: "none",
  usual: true,
  requestSchema: null,
} as const;

/** Read from the gateway's own store. */
export const storeReading = { ...jobReading, owner: "gateway", domains: [], usual: false } as const;

/** Written to the gateway's own store. */
export const storeWriting = { ...storeReading, method: "POST", idempotent: false } as const;
