import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { NexusError } from "../base/errors.ts";
import { secretReferenceSchema } from "../contract/instance-record.ts";
import type { SecretCommands } from "./secret-command.ts";

/** Finds the secret that a reference stands for. */
export type ResolveSecret = (reference: string) => Promise<string>;

/** No key is longer; a file that is was not meant. */
const fileBytesMax = 16 * 1024;
/** Files remembered: one for each attached server with a key. */
const rememberedMax = 256;

interface Remembered {
  /** What tells one content from the next without reading it. */
  readonly stamp: string;
  readonly secret: string;
}

/**
 * Resolves `env:NAME` and `file:/absolute/path`, anew at every call, so that a rotated key is used at once; a file is
 * read again only when it has changed. `command:LINE` is resolved by those who may run `commands`, default nobody.
 * Whatever goes wrong, no message contains any part of a secret.
 * @throws NexusError `invalid_request` that names the reference and what to do.
 */
export function createSecretResolver(
  environment: Readonly<Record<string, string | undefined>>,
  commands?: SecretCommands,
): ResolveSecret {
  const remembered = new Map<string, Remembered>();
  return async (reference) => {
    if (!secretReferenceSchema.safeParse(reference).success) {
      // Somebody may have put the key itself here: it is not repeated.
      throw wrong("A key is given by reference: env:NAME, file:/absolute/path, or command:LINE.");
    }
    const [scheme, place] = splitOnce(reference, ":");
    if (scheme === "env") return checked(environment[place] ?? "", reference);
    if (scheme === "command") {
      if (commands === undefined) throw wrong("Commands that print keys are run by `nexus up` only.");
      return checked(await commands.output(place), "The output of the command");
    }
    const { stamp, secret } = await readSecretFile(place, reference, remembered.get(place));
    remembered.delete(place);
    remembered.set(place, { stamp, secret });
    const [oldest] = remembered.keys();
    if (remembered.size > rememberedMax && oldest !== undefined) remembered.delete(oldest);
    return secret;
  };
}

function splitOnce(text: string, separator: string): [string, string] {
  const place = text.indexOf(separator);
  return [text.slice(0, place), text.slice(place + separator.length)];
}

function wrong(message: string, cause?: unknown): NexusError {
  return new NexusError("invalid_request", message, { param: "key_from", cause });
}

/** Opened before it is looked at, and never waited for: a pipe or a device in its place harms nobody. */
async function readSecretFile(
  path: string,
  reference: string,
  remembered: Remembered | undefined,
): Promise<Remembered> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat({ bigint: true });
    if (!stats.isFile()) throw wrong(`${reference} is no regular file.`);
    if (stats.size > fileBytesMax) throw wrong(`${reference} is larger than a key can be (${fileBytesMax} bytes).`);
    const stamp = `${stats.ino} ${stats.mtimeNs} ${stats.size}`;
    if (stamp === remembered?.stamp) return remembered;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(fileBytesMax), 0, fileBytesMax, 0);
    return { stamp, secret: checked(buffer.toString("utf8", 0, bytesRead), reference) };
  } catch (error) {
    if (error instanceof NexusError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "";
    throw wrong(`${reference} cannot be read${code === "" ? "" : ` (${code})`}.`, error);
  } finally {
    await file?.close();
  }
}

/** A key travels in a header: it is one line of visible ASCII. Space around it is how files end. */
function checked(text: string, reference: string): string {
  const secret = text.trim();
  if (secret === "") throw wrong(`${reference} is ${reference.startsWith("env:") ? "not set or " : ""}empty.`);
  if (!/^[\x21-\x7e]+$/.test(secret)) throw wrong(`${reference} holds something else than one key on one line.`);
  return secret;
}
