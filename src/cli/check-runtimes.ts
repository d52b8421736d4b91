import { findProgram } from "../base/find-program.ts";
import { isLoopbackHost } from "../config/loopback.ts";
import type { InstanceRecord } from "../contract/instance-record.ts";
import { type Finding, ok, warning } from "./diagnosis.ts";

/** What is looked at of an instance's record. */
export type RuntimesRecord = Pick<InstanceRecord, "service" | "base_url" | "metadata">;

/** Where Debian has programs whose package is not called like them. */
const debianPackages: Readonly<Record<string, string>> = { python3: "python3", pip: "python3-pip", ffmpeg: "ffmpeg" };
/** Other names of a program. */
const alsoCalled: Readonly<Record<string, readonly string[]>> = { pip: ["pip3"] };
/** A program's name or path. Versions and libraries, such as `cuda>=12`, are not to be seen this way. */
const program = /^[\w.+/-]+$/;

/**
 * Whether the programs are there that the services of this machine name in `requires.runtimes`. `path` is the `PATH` that
 * services get. One finding for each program.
 */
export function checkRuntimes(records: readonly RuntimesRecord[], path: string): readonly Finding[] {
  const users = new Map<string, Set<string>>();
  for (const { service, base_url: url, metadata } of records) {
    if (!isLoopbackHost(new URL(url).hostname)) continue;
    for (const name of metadata.requires.runtimes ?? []) {
      if (program.test(name)) users.set(name, (users.get(name) ?? new Set()).add(service));
    }
  }
  return [...users].map(([name, services]) => {
    const found = [name, ...(alsoCalled[name] ?? [])]
      .map((one) => findProgram(one, { path }))
      .find((one) => one !== undefined);
    if (found !== undefined) return ok("programs", `${name}: ${found}`);
    const fix = debianPackages[name];
    return warning(
      "programs",
      `${name} is missing, which ${[...services].join(", ")} may need`,
      fix === undefined ? `Install ${name}, or see the service's page.` : `apt install ${fix}`,
    );
  });
}
