/** Bands of Whisper's spectrogram, and lines of its Fourier transform (400 samples at 16 kHz). */
export const whisperMelSize = { bands: 80, bins: 201 } as const;

const nyquistHz = 8000;
/** Slaney's scale: even up to 1 kHz, then even in the logarithm, 27 steps to each factor of 6.4. */
const hzPerStep = 200 / 3;
const knee = { hz: 1000, mel: 1000 / hzPerStep };
const logStep = Math.log(6.4) / 27;

/**
 * The weights of each line in each band, row by row: triangles of equal area on Slaney's mel scale (Malcolm Slaney,
 * Auditory Toolbox, 1998), which is what OpenAI's Whisper was trained on.
 */
export function whisperMelFilters(): Float32Array<ArrayBuffer> {
  const { bands, bins } = whisperMelSize;
  const highest = toMel(nyquistHz);
  const step = highest / (bands + 1);
  const edges = Array.from({ length: bands + 2 }, (_, at) => toHz(at === bands + 1 ? highest : at * step));
  const weights = new Float32Array(bands * bins);
  for (let band = 0; band < bands; band++) {
    const [low = 0, middle = 0, high = 0] = edges.slice(band, band + 3);
    for (let bin = 0; bin < bins; bin++) {
      const hz = (bin * nyquistHz) / (bins - 1);
      const height = Math.max(0, Math.min(-(low - hz) / (middle - low), (high - hz) / (high - middle)));
      // Rounded in between: so they were made, and to the last bit they are the same.
      weights[band * bins + bin] = Math.fround(height) * (2 / (high - low));
    }
  }
  return weights;
}

function toMel(hz: number): number {
  return hz < knee.hz ? hz / hzPerStep : knee.mel + Math.log(hz / knee.hz) / logStep;
}

function toHz(mel: number): number {
  return mel < knee.mel ? mel * hzPerStep : knee.hz * Math.exp(logStep * (mel - knee.mel));
}
