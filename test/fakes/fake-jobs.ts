import { wavFile } from "./fake-audio.ts";
import { png } from "./fake-images.ts";
import { badField, created, type FakeReply, jsonReply, mediaReply, notFound } from "./fake-reply.ts";
import { openAiError } from "./fake-surface.ts";

interface Job {
  readonly id: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** The job that it was made of. */
  readonly source: string | null;
  looks: number;
}

/** Times that somebody looks at a job until it is done: queued at first, half done at the second look. */
const looksUntilDone = 2;

/** Films or music that one fake server makes. Ids tell which server made them, so that a lost way is seen. */
export class FakeJobs {
  readonly #kind: "video" | "music";
  readonly #jobs = new Map<string, Job>();
  #made = 0;

  constructor(kind: "video" | "music") {
    this.#kind = kind;
  }

  create(fields: Readonly<Record<string, unknown>>, baseUrl: string): FakeReply {
    if (typeof fields.prompt !== "string" || fields.prompt === "") return badField("prompt", "must be a text");
    return this.#add(new URL(baseUrl).port, fields, null);
  }

  remix(source: string, fields: Readonly<Record<string, unknown>>): FakeReply {
    const job = this.#jobs.get(source);
    if (job === undefined) return this.#unknown(source);
    if (typeof fields.prompt !== "string" || fields.prompt === "") return badField("prompt", "must be a text");
    return this.#add(source.split("_")[1] ?? "", { ...job.fields, prompt: fields.prompt }, source);
  }

  #add(port: string, fields: Job["fields"], source: string | null): FakeReply {
    this.#made += 1;
    const job = { id: `${this.#kind}_${port}_${this.#made}`, fields, source, looks: 0 };
    this.#jobs.set(job.id, job);
    return jsonReply(this.#describe(job));
  }

  list(): FakeReply {
    const data = [...this.#jobs.values()].map((job) => this.#describe(job)).reverse();
    const ids = [...this.#jobs.keys()];
    return jsonReply({ object: "list", data, first_id: ids.at(-1) ?? null, last_id: ids[0] ?? null, has_more: false });
  }

  retrieve(id: string): FakeReply {
    const job = this.#jobs.get(id);
    if (job === undefined) return this.#unknown(id);
    job.looks += 1;
    return jsonReply(this.#describe(job));
  }

  delete(id: string): FakeReply {
    if (!this.#jobs.delete(id)) return this.#unknown(id);
    return jsonReply({ id, object: `${this.#kind}.deleted`, deleted: true });
  }

  content(id: string, variant: string | null): FakeReply {
    const job = this.#jobs.get(id);
    if (job === undefined) return this.#unknown(id);
    if (job.looks < looksUntilDone)
      return openAiError(400, "It is not ready yet.", "invalid_request_error", "not_ready");
    const words = String(job.fields.prompt).split(" ");
    if (this.#kind === "music") return mediaReply("audio/wav", inPieces(wavFile(words)));
    if (variant === "thumbnail") return mediaReply("image/webp", [png(0)]);
    return mediaReply("video/mp4", inPieces(film(id)));
  }

  #describe({ id, fields, source, looks }: Job): object {
    const status = looks >= looksUntilDone ? "completed" : looks > 0 ? "in_progress" : "queued";
    const isDone = status === "completed";
    return {
      id,
      object: this.#kind,
      model: fields.model,
      status,
      progress: isDone ? 100 : Math.round((100 * looks) / looksUntilDone),
      created_at: created,
      completed_at: isDone ? created + 60 : null,
      expires_at: isDone ? created + 86_400 : null,
      prompt: fields.prompt,
      seconds: String(fields.seconds ?? "4"),
      ...(this.#kind === "video" ? { size: fields.size ?? "720x1280", remixed_from_video_id: source } : {}),
      error: null,
    };
  }

  #unknown(id: string): FakeReply {
    return notFound(`No such ${this.#kind} '${id}'.`);
  }
}

/** The first box of an MP4 file, and a box of filling with the job's id in it. */
function film(id: string): Buffer {
  const start = Buffer.from("\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "latin1");
  const filling = Buffer.alloc(4_096);
  filling.writeUInt32BE(filling.length, 0);
  filling.write(`free${id}`, 4);
  return Buffer.concat([start, filling]);
}

function inPieces(whole: Buffer): readonly Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < whole.length; at += 1_024) pieces.push(whole.subarray(at, at + 1_024));
  return pieces;
}
