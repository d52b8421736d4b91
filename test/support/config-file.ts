import { renameSync, writeFileSync } from "node:fs";
import { stringify } from "yaml";
import { callHttp, readText } from "../../src/cli/http-client.ts";
import { dataPaths } from "../../src/config/paths.ts";

/** Puts another file in its place, as editors and `mv` do. */
export function replaceFile(path: string, content: unknown): void {
  writeFileSync(`${path}.new`, typeof content === "string" ? content : stringify(content));
  renameSync(`${path}.new`, path);
}

/** Asks the control API of a platform over its socket. */
export async function askControl<T>(
  data: string,
  method: "GET" | "POST",
  path: string,
): Promise<{ status: number; body: T }> {
  const target = { socketPath: dataPaths(data).controlSocket, baseUrl: "http://control" };
  const answer = await callHttp(target, { method, path, timeoutMs: 20_000 });
  return { status: answer.status, body: JSON.parse(await readText(answer.body)) as T };
}
