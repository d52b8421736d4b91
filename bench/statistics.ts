/** The middle value, or the mean of the two in the middle. NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length / 2;
  const above = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + above) / 2 : above;
}

/** The smallest value that at least `fraction` of all values don't exceed (nearest rank). NaN of nothing. */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  const rank = Math.max(1, Math.ceil(sorted.length * fraction));
  return sorted[rank - 1] ?? Number.NaN;
}

/** Widest distance from the median as a share of it: how far the rounds disagree. 0 of one value. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return Math.max(0, ...values.map((value) => Math.abs(value - middle))) / middle;
}

/** Rounds to so many digits that count; what isn't a number stays what it is. */
export function toDigits(value: number, digits: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(digits)) : value;
}
