import type * as Http from "node:http";
import type * as Https from "node:https";
import { loadLater } from "./load-later.ts";

/**
 * `node:http`, without what importing it loads as well: an import reads every export, also those that Node makes on
 * demand, and so brings in its whole `fetch`, which takes 14 MB and 20 ms. Types may be imported as ever.
 */
export const http = loadLater<typeof Http>("node:http");

/** `node:https`, for those who speak TLS. */
export const https = loadLater<typeof Https>("node:https");
