import { parse } from "yaml";

const rootUsers = new Set(["root", "0"]);

/** Whether the image's processes are another user than root and their health is looked at. */
export function checkDockerfile(text: string): string | undefined {
  const lines = text
    .replaceAll(/\\\r?\n/g, " ")
    .split("\n")
    .map((line) => line.trim());
  const last = lines.findLastIndex((line) => /^FROM\s/i.test(line));
  if (last < 0) return "has no FROM";
  const stage = lines.slice(last);
  const user = stage.findLast((line) => /^USER\s/i.test(line))?.split(/\s+/)[1];
  if (user === undefined) return "names no USER: its processes are root's";
  if (rootUsers.has(user.split(":")[0] ?? "")) return `its processes are ${user}'s: choose another USER`;
  const health = stage.findLast((line) => /^HEALTHCHECK\s/i.test(line));
  return health === undefined || /^HEALTHCHECK\s+NONE/i.test(health) ? "has no HEALTHCHECK" : undefined;
}

/** Whether every container's own files are read-only. */
export function checkCompose(text: string): string | undefined {
  const { services = {} } = (parse(text) ?? {}) as { services?: Record<string, { read_only?: unknown } | null> };
  const names = Object.keys(services);
  if (names.length === 0) return "has no services";
  const open = names.find((name) => services[name]?.read_only !== true);
  return open === undefined ? undefined : `the service ${open} is without read_only: true`;
}
