/** Brings sound to another rate, piece by piece. */
export interface Resampler {
  /** Samples of the new rate as far as they are known; the rest follows with the next piece. */
  push(samples: Float32Array): Float32Array;
  /** What is left. Nothing can be pushed afterwards. */
  end(): Float32Array;
}

/** Zero crossings of the kernel on each side: 16 leave less than a thousandth of what cannot be kept. */
const crossings = 16;

/** A resampler of one channel, by a windowed sinc: no tone above half the lower rate comes through as another. */
export function createResampler(fromHz: number, toHz: number): Resampler {
  if (fromHz === toHz) return { push: (samples) => samples, end: () => new Float32Array(0) };
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const [step, phases] = [fromHz / divisor, toHz / divisor];
  // Falling, the filter is as much longer as the tones that may pass are lower.
  const cutoff = Math.min(1, toHz / fromHz);
  const reach = Math.ceil(crossings / cutoff);
  const kernels = createKernels(phases, reach, cutoff);
  let kept: Float32Array = new Float32Array(reach);
  /** Of `kept`'s first sample. */
  let keptAt = -reach;
  let made = 0;
  let pushed = 0;

  const make = (until: number): Float32Array => {
    const out = new Float32Array(Math.max(0, until - made));
    for (let index = 0; index < out.length; index++, made++) {
      const position = made * step;
      const phase = position % phases;
      const kernel = kernels[phase] ?? kernels[0] ?? new Float32Array(0);
      const start = (position - phase) / phases - reach + 1 - keptAt;
      let sum = 0;
      for (let tap = 0; tap < kernel.length; tap++) sum += (kernel[tap] ?? 0) * (kept[start + tap] ?? 0);
      out[index] = sum;
    }
    const needed = Math.floor((made * step) / phases) - reach + 1 - keptAt;
    if (needed > 0) {
      kept = kept.slice(needed);
      keptAt += needed;
    }
    return out;
  };
  return {
    push(samples) {
      const joined = new Float32Array(kept.length + samples.length);
      joined.set(kept);
      joined.set(samples, kept.length);
      kept = joined;
      pushed += samples.length;
      return make(Math.max(made, Math.ceil(((pushed - reach) * phases) / step)));
    },
    end: () => make(Math.round((pushed * phases) / step)),
  };
}

/** The weights of the samples around a place, for each place between two samples that occurs. */
function createKernels(phases: number, reach: number, cutoff: number): readonly Float32Array[] {
  return Array.from({ length: phases }, (_, phase) => {
    const kernel = Float32Array.from({ length: 2 * reach }, (_, tap) => {
      const distance = tap - reach + 1 - phase / phases;
      return cutoff * sinc(distance * cutoff) * window(distance / reach);
    });
    // Silence's opposite, a constant, must come through as it is.
    const sum = kernel.reduce((total, weight) => total + weight, 0);
    return kernel.map((weight) => weight / sum);
  });
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Blackman's window, from -1 to 1. */
function window(x: number): number {
  return Math.abs(x) >= 1 ? 0 : 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}
