import { isUtf8 } from "node:buffer";
import { NexusError } from "../base/errors.ts";

export type Variables = Readonly<Record<string, string>>;

/**
 * Puts values where `{{name}}` stands.
 * @throws NexusError `invalid_request` with file and line for a name that has no value.
 */
export function renderText(text: string, variables: Variables, file: string): string {
  return text.replaceAll(/\{\{([a-z][a-z_]*)\}\}/g, (whole, name: string, at: number) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value !== undefined) return value;
    const line = text.slice(0, at).split("\n").length;
    throw new NexusError("invalid_request", `${file}:${line}: there is no variable ${whole}.`);
  });
}

/** The same for a file: what is no text stays as it is. */
export function renderBytes(bytes: Buffer, variables: Variables, file: string): Buffer {
  return isUtf8(bytes) && !bytes.includes(0) ? Buffer.from(renderText(bytes.toString("utf8"), variables, file)) : bytes;
}
