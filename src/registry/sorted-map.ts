/**
 * An immutable map in the order of its keys (by UTF-16 code unit, as `<` compares). A changed copy costs two array
 * copies, 0.1 ms at 10,000 entries, where copying a `Map` costs 2.6 ms and loses the order; a look-up is a binary
 * search.
 */
export class SortedMap<V> implements ReadonlyMap<string, V> {
  readonly #keys: readonly string[];
  readonly #values: readonly V[];

  private constructor(keys: readonly string[], values: readonly V[]) {
    this.#keys = keys;
    this.#values = values;
  }

  static empty<V>(): SortedMap<V> {
    return new SortedMap<V>([], []);
  }

  /** The same entries in order; `map` itself when it is one of these. */
  static of<V>(map: ReadonlyMap<string, V>): SortedMap<V> {
    return map instanceof SortedMap ? map : SortedMap.empty<V>().with(map);
  }

  /** A copy with these entries set or, where the value is undefined, removed. */
  with(changes: ReadonlyMap<string, V | undefined>): SortedMap<V> {
    const keys: string[] = [];
    const values: V[] = [];
    let copied = 0;
    const copyUpTo = (end: number): void => {
      for (; copied < end; copied++) {
        keys.push(this.#keys[copied] as string);
        values.push(this.#values[copied] as V);
      }
    };
    for (const key of [...changes.keys()].sort(byCodeUnit)) {
      const at = this.#lowerBound(key);
      copyUpTo(at);
      if (this.#keys[at] === key) copied = at + 1;
      const value = changes.get(key);
      if (value === undefined) continue;
      keys.push(key);
      values.push(value);
    }
    copyUpTo(this.#keys.length);
    return new SortedMap(keys, values);
  }

  /** What leads from `before` to this: the values that are new or other objects, and the keys that are gone. */
  changesSince(before: SortedMap<V>): { changed: V[]; removed: string[] } {
    const changed: V[] = [];
    const removed: string[] = [];
    let [left, right] = [0, 0];
    while (left < before.size || right < this.size) {
      const [keyBefore, key] = [before.#keys[left], this.#keys[right]];
      if (key === undefined || (keyBefore !== undefined && keyBefore < key)) {
        removed.push(keyBefore as string);
        left++;
        continue;
      }
      const value = this.#values[right++] as V;
      if (keyBefore !== key || before.#values[left] !== value) changed.push(value);
      if (keyBefore === key) left++;
    }
    return { changed, removed };
  }

  get size(): number {
    return this.#keys.length;
  }

  get(key: string): V | undefined {
    const at = this.#lowerBound(key);
    return this.#keys[at] === key ? this.#values[at] : undefined;
  }

  has(key: string): boolean {
    return this.#keys[this.#lowerBound(key)] === key;
  }

  forEach(run: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) run(value, key, this);
  }

  keys(): MapIterator<string> {
    return this.#keys.values();
  }

  values(): MapIterator<V> {
    return this.#values.values();
  }

  *entries(): MapIterator<[string, V]> {
    for (const [at, key] of this.#keys.entries()) yield [key, this.#values[at] as V];
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  /** Index of the first key that is not below `key`. */
  #lowerBound(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function byCodeUnit(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
