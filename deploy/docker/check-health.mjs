/** For HEALTHCHECK, as slim images have no curl: ends with 0 when the process in this container answers `/health`. */
import { get } from "node:http";

const { NEXUS_PORT = "8080", NEXUS_HOST = "127.0.0.1" } = process.env;
/** What listens on every address listens on loopback, too. */
const host = NEXUS_HOST === "0.0.0.0" || NEXUS_HOST === "::" ? "127.0.0.1" : NEXUS_HOST;

get({ host, port: NEXUS_PORT, path: "/health", timeout: 4_000 }, ({ statusCode }) => {
  process.exit(statusCode === 200 ? 0 : 1);
})
  .on("timeout", () => process.exit(1))
  .on("error", () => process.exit(1));
