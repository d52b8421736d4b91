import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { secretReferenceSchema } from "../contract/instance-record.ts";
import { nameSchema } from "../contract/metadata.ts";
import { describeIssues } from "../contract/parse.ts";
import { dialectNames } from "../dialects/dialect.ts";
import { DurableFile } from "../registry/durable-file.ts";
import { labelsSchema } from "./config.ts";

/** An attachment that the operator made, as it is kept on disk. Never a secret, only where it lives. */
const storedAttachmentSchema = z.object({
  name: nameSchema,
  url: z.url({ protocol: /^https?$/ }),
  labels: labelsSchema,
  key_from: secretReferenceSchema.nullable(),
  dialect: z.enum(dialectNames).nullable(),
  attached_at: z.iso.datetime({ offset: true }),
});
export type StoredAttachment = z.output<typeof storedAttachmentSchema>;

/** What outlives the process. */
export interface StoredState {
  readonly attachments: readonly StoredAttachment[];
  /** Identities of servers on this machine that the operator detached: discovery leaves them alone until attached by hand. */
  readonly ignored: readonly string[];
}

const fileSchema = z.object({
  version: z.literal(1),
  attachments: z.array(z.unknown()),
  ignored: z.array(z.string()).default([]),
});

export interface AttachmentStoreOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What is to be kept, asked at the moment of writing. */
  readonly state: () => StoredState;
}

/** `attachments.json`. */
export interface AttachmentStore {
  /** What the last process left. A broken file is put aside; one broken entry never hides the others. */
  load(): StoredState;
  /** Resolves when the present state is on disk, or when the disk does not take it: the log says so and it is tried again. */
  save(): Promise<void>;
  close(): Promise<void>;
}

export function createAttachmentStore({ path, clock, log, state }: AttachmentStoreOptions): AttachmentStore {
  const render = () => `${JSON.stringify({ version: 1, ...state() }, null, 2)}\n`;
  const file = new DurableFile({ path, clock, log, render });
  return {
    load() {
      const stored = file.load((text) => fileSchema.parse(JSON.parse(text)));
      if (stored === undefined) return { attachments: [], ignored: [] };
      const attachments = stored.attachments.flatMap((entry, index) => {
        const parsed = storedAttachmentSchema.safeParse(entry);
        if (parsed.success) return [parsed.data];
        log.warn({ path, index, reason: describeIssues(parsed.error) }, "attachment cannot be used and is left out");
        return [];
      });
      return { attachments, ignored: stored.ignored };
    },
    save() {
      file.touch();
      return file.flush();
    },
    close: () => file.close(),
  };
}
