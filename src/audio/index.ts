export { createResampler, type Resampler } from "./resample.ts";
export { toFloat, toInt16 } from "./samples.ts";
export { readWav, type Sound, wavHeader } from "./wav.ts";
