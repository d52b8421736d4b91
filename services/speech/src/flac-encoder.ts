import type { SoundEncoder } from "./encoders.ts";

/** Samples of a block: what the format's own encoder takes at this rate. */
const blockSamples = 4096;
const bitsPerSample = 16;

/**
 * FLAC (RFC 9639) of one channel of 16 bits, as it is made: each block predicted by the best of the five fixed
 * polynomials, what is left written in Rice's code. About half of WAV's size for speech. The head says nothing about
 * the length, which nobody knows when it is sent. Each block says its rate, as some readers look for it only there.
 */
export function createFlacEncoder(sampleRate: number): SoundEncoder {
  let waiting = new Int16Array(0);
  let frames = 0;
  const takeBlocks = (sound: Int16Array, isEnd: boolean): Buffer => {
    const parts: Buffer[] = [];
    let at = 0;
    const least = isEnd ? 1 : blockSamples;
    while (sound.length - at >= least) {
      const block = sound.subarray(at, at + blockSamples);
      parts.push(encodeFrame(block, frames++, sampleRate));
      at += block.length;
    }
    waiting = sound.slice(at);
    return Buffer.concat(parts);
  };
  return {
    begin: () => streamHead(sampleRate),
    push(samples) {
      const joined = new Int16Array(waiting.length + samples.length);
      joined.set(waiting);
      joined.set(samples, waiting.length);
      return takeBlocks(joined, false);
    },
    end: () => takeBlocks(waiting, true),
  };
}

function streamHead(sampleRate: number): Buffer {
  const bits = createBitWriter();
  bits.write(16, blockSamples);
  bits.write(16, blockSamples);
  // The least and the largest frame: unknown.
  bits.write(24, 0);
  bits.write(24, 0);
  bits.write(20, sampleRate);
  bits.write(3, 0);
  bits.write(5, bitsPerSample - 1);
  // 36 bits of the number of samples and 16 bytes of their MD5: unknown.
  bits.write(4, 0);
  bits.write(32, 0);
  const head = Buffer.concat([bits.bytes(), Buffer.alloc(16)]);
  // The first block of metadata is the last.
  return Buffer.concat([Buffer.from("fLaC"), Buffer.from([0x80, 0, 0, head.length]), head]);
}

function encodeFrame(block: Int16Array, number: number, sampleRate: number): Buffer {
  const head = createBitWriter();
  // Sync; blocks of one size; that size and the rate in 16 bits each below; one channel; 16 bits.
  head.write(16, 0xfff8);
  head.write(4, 0b0111);
  head.write(4, 0b1101);
  head.write(4, 0);
  head.write(3, 0b100);
  head.write(1, 0);
  for (const byte of codedNumber(number)) head.write(8, byte);
  head.write(16, block.length - 1);
  head.write(16, sampleRate);
  const headBytes = head.bytes();
  const body = createBitWriter();
  for (const byte of headBytes) body.write(8, byte);
  body.write(8, crc8(headBytes));
  writeSubframe(body, block);
  const frame = body.bytes();
  const check = Buffer.alloc(2);
  check.writeUInt16BE(crc16(frame));
  return Buffer.concat([frame, check]);
}

function writeSubframe(bits: BitWriter, block: Int16Array): void {
  const { order, residual } = predict(block);
  bits.write(8, (0b001000 | order) << 1);
  for (const sample of block.subarray(0, order)) bits.write(bitsPerSample, sample & 0xffff);
  const parameter = riceParameter(residual);
  // Rice's code with parameters of four bits, in one partition.
  bits.write(2, 0);
  bits.write(4, 0);
  bits.write(4, parameter);
  for (const value of residual) {
    // Small numbers of either sign become small numbers.
    const folded = value < 0 ? -2 * value - 1 : 2 * value;
    bits.writeZeros(folded >>> parameter);
    bits.write(1, 1);
    if (parameter > 0) bits.write(parameter, folded & ((1 << parameter) - 1));
  }
}

/** What the best of the polynomials of degree 0 to 4 does not foresee: differences of differences. */
function predict(block: Int16Array): { readonly order: number; readonly residual: Int32Array } {
  let residual = Int32Array.from(block);
  let best = { order: 0, residual, cost: costOf(residual) };
  for (let order = 1; order <= 4 && order < block.length; order++) {
    const before = residual;
    residual = Int32Array.from({ length: before.length - 1 }, (_, at) => (before[at + 1] ?? 0) - (before[at] ?? 0));
    const cost = costOf(residual) + order * bitsPerSample;
    if (cost < best.cost) best = { order, residual, cost };
  }
  return best;
}

/** About the bits that it takes. */
function costOf(residual: Int32Array): number {
  const parameter = riceParameter(residual);
  return residual.reduce((bits, value) => bits + (Math.abs(2 * value) >>> parameter) + 1 + parameter, 0);
}

/** 15 would mean something else. */
const parameterMax = 14;

/** The parameter that fits the mean: the quotients are then about one. */
function riceParameter(residual: Int32Array): number {
  const mean = residual.reduce((sum, value) => sum + Math.abs(2 * value), 0) / Math.max(1, residual.length);
  return Math.min(parameterMax, Math.max(0, Math.floor(Math.log2(mean + 1))));
}

/** A number in the way of UTF-8, up to 36 bits in seven bytes; 31 bits are enough for years of sound. */
function codedNumber(value: number): number[] {
  if (value < 0x80) return [value];
  const rest: number[] = [];
  let left = value;
  let room = 0x3f;
  while (left > room) {
    rest.unshift(0x80 | (left & 0x3f));
    left = Math.floor(left / 64);
    room >>= 1;
  }
  return [((~room << 1) & 0xff) | left, ...rest];
}

interface BitWriter {
  /** The lowest `count` bits of a number, up to 32, highest first. */
  write(count: number, value: number): void;
  writeZeros(count: number): void;
  /** All so far, filled up with zeros to a whole byte. */
  bytes(): Buffer;
}

function createBitWriter(): BitWriter {
  const done: number[] = [];
  let current = 0;
  let filled = 0;
  const push = (bit: number): void => {
    current = (current << 1) | bit;
    if (++filled < 8) return;
    done.push(current);
    current = 0;
    filled = 0;
  };
  return {
    write(count, value) {
      for (let bit = count - 1; bit >= 0; bit--) push((value >>> bit) & 1);
    },
    writeZeros(count) {
      for (let left = count; left > 0; left--) push(0);
    },
    bytes: () => Buffer.from(filled === 0 ? done : [...done, current << (8 - filled)]),
  };
}

/** x^8 + x^2 + x + 1 */
function crc8(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ ((crc & 0x80) === 0 ? 0 : 0x07)) & 0xff;
  }
  return crc;
}

/** x^16 + x^15 + x^2 + 1 */
function crc16(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x8005)) & 0xffff;
  }
  return crc;
}
