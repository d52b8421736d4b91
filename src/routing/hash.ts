/** FNV-1a over the UTF-16 code units, then mixed: 32 bits, even for names that differ in one letter only. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mix(hash);
}

/** Two hashes as one. */
export function combineHashes(left: number, right: number): number {
  return mix(left ^ Math.imul(right, 0x9e3779b1));
}

/** The finaliser of MurmurHash3 (Appleby, 2011): each bit of the input turns each bit of the output with equal chance. */
export function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
