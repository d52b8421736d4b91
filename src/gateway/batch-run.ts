import { hash } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Batch, BatchProblem, BatchStore, FinalStatus, LineAnswer } from "../objects/batch-store.ts";
import type { BatchesConfig } from "../objects/config.ts";
import { resultPurpose } from "../objects/file-store.ts";
import type { Files } from "../objects/files.ts";
import { type Line, readLines } from "../objects/json-lines.ts";
import { askLine, type LineAsking } from "./ask-line.ts";
import { BatchLineReader, type BatchRequest, type LineProblem, toProblemAnswer } from "./batch-line.ts";

/** Why a run ends before its batch does: somebody asked for the end of the batch, or the run may not go on. */
export type StopReason = "cancelled" | "expired" | "lost" | "closing";

export interface BatchRunParts {
  readonly store: BatchStore;
  readonly files: Files;
  readonly settings: BatchesConfig;
  readonly serve: LineAsking["serve"];
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Between two tries to write to a database, or a disk, that is away or full. */
const retryMs = 1_000;

/**
 * Works on one batch from where it stands to its end. What it has an answer to is in the store before the next line is
 * begun; a line that is asked when the process dies is asked again by the next.
 */
export class BatchRun {
  readonly batch: Batch;
  readonly #parts: BatchRunParts;
  /** What is asked of backends is cancelled. */
  readonly #cut = new AbortController();
  readonly #stopping = new AbortController();
  #stopped: StopReason | undefined;
  /** What is wrong with the batch as a whole. */
  #problem: BatchProblem | undefined;

  constructor(batch: Batch, parts: BatchRunParts) {
    this.batch = batch;
    this.#parts = parts;
  }

  /** Begins no more lines; cuts those that are asked, except when closing: these may end. The first reason counts. */
  stop(reason: StopReason): void {
    this.#stopped ??= reason;
    this.#stopping.abort();
    if (reason !== "closing") this.cut();
  }

  cut(): void {
    this.#cut.abort();
  }

  /** Whether it has come to an end; false when it could not go on. Never rejects. */
  async run(): Promise<boolean> {
    const { log, clock } = this.#parts;
    const cancelExpiry = clock.after(this.batch.expiresAt - clock.now(), () => this.stop("expired"));
    try {
      if (this.batch.status === "cancelling") this.stop("cancelled");
      await this.#answerAll();
      if (this.#mayFinish) await this.#writeResults();
      return true;
    } catch (error) {
      log.error({ batch: this.batch.id, reason: describeError(error) }, "a batch could not go on");
      return false;
    } finally {
      this.cut();
      cancelExpiry();
    }
  }

  get #mayFinish(): boolean {
    return this.#stopped !== "lost" && this.#stopped !== "closing";
  }

  async #answerAll(): Promise<void> {
    try {
      await this.#validate();
      if (this.#problem === undefined) await this.#askLines();
    } catch (error) {
      if (!(error instanceof NexusError) || error.code !== "not_found") throw error;
      this.#problem = { code: "invalid_input_file", message: error.message, line: null };
    }
  }

  /** Counts the lines, once. */
  async #validate(): Promise<void> {
    const { store, settings, holder } = this.#parts;
    const { id, status } = this.batch;
    if (status !== "validating") return;
    let total = 0;
    for await (const _ of await this.#lines()) if (++total > settings.linesMax) break;
    const wrong = (code: string, message: string) => {
      this.#problem = { code, message, line: null };
    };
    if (total === 0) wrong("empty_file", "The file has no lines.");
    else if (total > settings.linesMax) wrong("too_many_lines", `The file has more than ${settings.linesMax} lines.`);
    else if (!(await this.#untilDone(() => store.advance(holder, id, { status: "in_progress", total })))) {
      this.stop("lost");
    }
  }

  async #lines(): Promise<AsyncGenerator<Line>> {
    const { files, settings } = this.#parts;
    const source = (await files.read({ id: this.batch.inputFileId })) as AsyncIterable<Buffer>;
    return readLines(source, settings.lineBytesMax);
  }

  async #askLines(): Promise<void> {
    const { store, settings } = this.#parts;
    const answered = await store.answeredLines(this.batch.id);
    const reader = new BatchLineReader(this.batch.endpoint);
    const asked = new Set<Promise<void>>();
    for await (const line of await this.#lines()) {
      // Answered lines are read all the same: later ones must not have their ids.
      const request = reader.read(line);
      if (answered.has(line.number)) continue;
      if (this.#stopped !== undefined && this.#stopped !== "expired") break;
      const work = this.#answer(request).finally(() => asked.delete(work));
      asked.add(work);
      if (asked.size >= settings.linesAtOnce) await Promise.race(asked);
    }
    await Promise.all(asked);
  }

  async #answer(request: BatchRequest | LineProblem): Promise<void> {
    const { store, holder } = this.#parts;
    const answer = await this.#answerTo(request);
    if (answer === undefined) return;
    const isHeld = await this.#untilDone(() => store.keepAnswer(holder, this.batch.id, answer));
    if (!isHeld) this.stop("lost");
  }

  async #answerTo(request: BatchRequest | LineProblem): Promise<LineAnswer | undefined> {
    if ("code" in request) return toProblemAnswer(request);
    const { serve, clock, settings } = this.#parts;
    const asking = {
      serve,
      clock,
      answerBytesMax: settings.answerBytesMax,
      signal: this.#cut.signal,
      stopping: this.#stopping.signal,
    };
    const answer = this.#stopped === undefined ? await askLine(this.batch, request, asking) : undefined;
    if (answer !== undefined || this.#stopped !== "expired") return answer;
    const message = "The batch's completion window was over before this line was answered.";
    return toProblemAnswer({ ...request, code: "batch_expired", message });
  }

  /** Writes both files from what is stored, and ends the batch. After a crash the same files are written again. */
  async #writeResults(): Promise<void> {
    const { store, holder } = this.#parts;
    const { id } = this.batch;
    await this.#untilDone(() => store.advance(holder, id, { status: "finalizing" }));
    const outputFileId = await this.#untilDone(() => this.#writeFile(false));
    const errorFileId = await this.#untilDone(() => this.#writeFile(true));
    const errors = this.#problem === undefined ? [] : [this.#problem];
    await this.#untilDone(() =>
      store.finish(holder, id, { status: this.#finalStatus, errors, outputFileId, errorFileId }),
    );
  }

  get #finalStatus(): FinalStatus {
    if (this.#problem !== undefined) return "failed";
    return this.#stopped === "cancelled" || this.#stopped === "expired" ? this.#stopped : "completed";
  }

  /** Id of the file, or null when there is nothing to write. */
  async #writeFile(isError: boolean): Promise<string | null> {
    const { store, files, clock } = this.#parts;
    const { id, tenant, outputExpiryMs } = this.batch;
    let page = await store.answers(id, isError, 0);
    if (page.length === 0) return null;
    const name = isError ? "errors" : "output";
    const fileId = `file-${hash("sha256", `${id} ${name}`, "hex").slice(0, 32)}`;
    const upload = await files.begin(fileId, Number.POSITIVE_INFINITY);
    try {
      while (page.length > 0) {
        await upload.write(Buffer.from(page.map(({ document }) => `${document}\n`).join("")));
        page = await store.answers(id, isError, page.at(-1)?.line ?? 0);
      }
      const expiresAt = outputExpiryMs === null ? null : clock.now() + outputExpiryMs;
      await upload.finish({ tenant, purpose: resultPurpose, filename: `${id}_${name}.jsonl`, expiresAt });
      return fileId;
    } finally {
      await upload.abandon();
    }
  }

  /** Again and again while a database or a disk is in the way, as long as the run may go on. */
  async #untilDone<T>(work: () => Promise<T>): Promise<T> {
    const { clock, log } = this.#parts;
    for (let turn = 0; ; turn++) {
      try {
        return await work();
      } catch (error) {
        const isTransient =
          error instanceof NexusError && ["database_unavailable", "disk_full", "storage_full"].includes(error.code);
        if (!isTransient || !this.#mayFinish) throw error;
        if (turn === 0) log.warn({ batch: this.batch.id, reason: describeError(error) }, "a batch waits");
        await new Promise<void>((resolve) => void clock.after(retryMs, resolve));
      }
    }
  }
}
