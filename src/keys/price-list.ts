import type * as Yaml from "yaml";
import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { compileGlob, type NameMatcher } from "../base/glob.ts";
import { loadLater } from "../base/load-later.ts";
import { parseOrThrow } from "../contract/parse.ts";
import type { UsedAmounts } from "./usage.ts";

const yaml = loadLater<typeof Yaml>("yaml");

const dollars = z.number().nonnegative().max(1_000_000).default(0);

const priceSchema = z.strictObject({
  /** Model ids, as their service names them; `*` stands for any characters. */
  models: z.string().min(1).max(256),
  /** Only of this service, or of services that fit. Default: of any. */
  service: z.string().min(1).max(128).default("*"),
  /** Dollars for a million tokens of prompt, and of answer. */
  inputPerMillion: dollars,
  outputPerMillion: dollars,
  perImage: dollars,
  /** Of sound, heard or made. */
  perMinute: dollars,
  /** Of text that becomes speech. */
  perMillionCharacters: dollars,
});

const fileSchema = z.strictObject({ prices: z.array(priceSchema).max(10_000) });

interface Price extends z.output<typeof priceSchema> {
  readonly fitsModel: NameMatcher;
  readonly fitsService: NameMatcher;
}

/** What models cost. The first entry that fits counts; what none fits is free. */
export interface PriceList {
  /** Millionths of a dollar, rounded up. */
  costMicroUsd(served: { readonly model: string; readonly service: string }, used: UsedAmounts): number;
  /** A bound before it is known where a request goes: the dearest of all services that have the model. */
  costMicroUsdMax(model: string, used: UsedAmounts): number;
}

/** Everything is free. */
export const freeOfCharge: PriceList = { costMicroUsd: () => 0, costMicroUsdMax: () => 0 };

/**
 * Reads a price list from the text of its file.
 * @throws NexusError `invalid_request` that names what is wrong.
 */
export function parsePriceList(text: string): PriceList {
  let value: unknown;
  try {
    value = yaml().parse(text);
  } catch (cause) {
    throw new NexusError("invalid_request", "The price list is neither valid YAML nor JSON.", { cause });
  }
  const prices: Price[] = parseOrThrow(fileSchema, value, "invalid_request", "The price list").prices.map((price) => ({
    ...price,
    fitsModel: compileGlob(price.models),
    fitsService: compileGlob(price.service),
  }));
  return {
    costMicroUsd({ model, service }, used) {
      const price = prices.find((one) => one.fitsModel(model) && one.fitsService(service));
      return price === undefined ? 0 : costOf(price, used);
    },
    costMicroUsdMax: (model, used) =>
      prices.reduce((most, price) => (price.fitsModel(model) ? Math.max(most, costOf(price, used)) : most), 0),
  };
}

/** A dollar for a million of something is a millionth of a dollar for one. */
function costOf(price: Price, used: UsedAmounts): number {
  const { promptTokens = 0, completionTokens = 0, images = 0, seconds = 0, characters = 0 } = used;
  const micro =
    promptTokens * price.inputPerMillion +
    completionTokens * price.outputPerMillion +
    images * price.perImage * 1_000_000 +
    (seconds / 60) * price.perMinute * 1_000_000 +
    characters * price.perMillionCharacters;
  // Rounded up, but not for what binary fractions add: 3 x 0.1 is three tenths.
  return Math.ceil(Number(micro.toFixed(6)));
}
