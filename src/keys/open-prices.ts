import { readFile, stat } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { freeOfCharge, type PriceList, parsePriceList } from "./price-list.ts";

/** A price list that follows its file. */
export interface Prices {
  /** As of now. */
  current(): PriceList;
  close(): void;
}

/** How often the file is looked at. */
const lookMs = 2_000;

/**
 * Reads the price list and follows it. A file that is wrong or gone leaves the last good prices in force; the log says
 * so once.
 * @throws NexusError `invalid_request` when it is wrong from the beginning, and what the file system throws.
 */
export async function openPrices(options: {
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<Prices> {
  const { file, clock, log } = options;
  if (file === undefined) return { current: () => freeOfCharge, close: () => {} };
  let stamp = await stampOf(file);
  let list = parsePriceList(await readFile(file, "utf8"));
  let isClosed = false;
  let stop = () => {};
  let isBroken = false;
  const look = async () => {
    try {
      const seen = await stampOf(file);
      if (seen !== stamp) {
        stamp = seen;
        list = parsePriceList(await readFile(file, "utf8"));
        log.info({ file }, "prices were read again");
      }
      isBroken = false;
    } catch (error) {
      const fields = { file, reason: describeError(error) };
      if (!isBroken) log.error(fields, "the prices cannot be read; the last good ones count");
      isBroken = true;
    }
  };
  const follow = () => {
    stop = clock.after(lookMs, () => {
      void look().then(() => {
        if (!isClosed) follow();
      });
    });
  };
  follow();
  return {
    current: () => list,
    close() {
      isClosed = true;
      stop();
    },
  };
}

async function stampOf(file: string): Promise<string> {
  const { ino, mtimeNs, size } = await stat(file, { bigint: true });
  return `${ino} ${mtimeNs} ${size}`;
}
