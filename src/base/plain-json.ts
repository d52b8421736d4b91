/**
 * What a text says that is JSON just as programs write it, compact or indented by two; undefined for everything else,
 * also for JSON that says a key twice. Such a text means the same to a reader of YAML, which need not be loaded for it.
 */
export function readPlainJson(text: string): { readonly value: unknown } | undefined {
  if (!/^[[{]/.test(text)) return undefined;
  const end = text.trimEnd();
  try {
    const value: unknown = JSON.parse(end);
    const isPlain = JSON.stringify(value) === end || JSON.stringify(value, null, 2) === end;
    return isPlain ? { value } : undefined;
  } catch {
    return undefined;
  }
}
