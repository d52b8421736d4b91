/** Upper and lower case, `_` and `-` are what people mix up first: they cost nothing. */
function normalise(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, "");
}

/** Damerau-Levenshtein distance in its optimal-string-alignment form: one swap of neighbours counts as one edit. */
export function editDistance(left: string, right: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) best = Math.min(best, (beforePrevious[column - 2] ?? 0) + 1);
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[right.length] ?? 0;
}

/** Longer names than this are compared by their beginning: the distance is quadratic. */
const nameLengthMax = 64;

/** Comparing is quadratic: beyond this many candidates the rest is not looked at. */
const candidatesMax = 2_000;

/**
 * Up to `max` candidates that `name` may stand for, nearest first: those that contain it or are contained in it, and
 * those of which at most a third of the letters differ. Case, `-` and `_` cost nothing.
 */
export function closeNames(name: string, candidates: Iterable<string>, max: number): readonly string[] {
  const wanted = normalise(name).slice(0, nameLengthMax);
  const allowed = Math.max(1, Math.floor(wanted.length / 3));
  const close: { candidate: string; distance: number }[] = [];
  let looked = 0;
  for (const candidate of candidates) {
    if (looked++ === candidatesMax) break;
    const other = normalise(candidate).slice(0, nameLengthMax);
    const contains = wanted.length > 2 && other.length > 2 && (other.includes(wanted) || wanted.includes(other));
    const distance = contains ? 0 : editDistance(wanted, other);
    if (distance <= allowed) close.push({ candidate, distance });
  }
  close.sort((a, b) => a.distance - b.distance);
  return close.slice(0, max).map(({ candidate }) => candidate);
}

/** The one candidate that `name` most likely stands for, or undefined when none is near. */
export function closestName(name: string, candidates: Iterable<string>): string | undefined {
  return closeNames(name, candidates, 1)[0];
}
