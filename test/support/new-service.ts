import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Combination, TemplateDomain } from "../../src/scaffold/combination.ts";
import { planService } from "../../src/scaffold/plan-service.ts";
import { readTemplate, type Template } from "../../src/scaffold/read-template.ts";
import { writeService } from "../../src/scaffold/write-service.ts";

export const checkout = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The check that proves that a service of the domain was not only started but asked. */
export const checkOfDomain: Readonly<Record<TemplateDomain, string>> = {
  chat: "stream.usage",
  embedding: "embeddings.answers",
  image: "images.answers",
  speech: "speech.answers",
  transcription: "transcriptions.answers",
  ocr: "ocr.answers",
  video: "videos.job",
  music: "music.job",
  rerank: "rerank.answers",
  moderation: "moderations.answers",
  tool: "tools.answers",
};

/** A folder that is gone with the test. */
export async function makeWorkshop(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-new-"));
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}

/** A service as `nexus create service` writes it, outside of the checkout. */
export async function writeNewService(
  workshop: string,
  template: Template,
  combination: Combination,
): Promise<{ readonly name: string; readonly directory: string }> {
  const name = `my-${combination.domain}-${combination.mode}`;
  const directory = join(workshop, name);
  const surroundings = { directory, nexus: checkout, nexusVersion: "0.0.0" };
  const plan = planService(template, { name, port: 8810, ...combination }, surroundings);
  await writeService(plan, { nexus: checkout, overwrite: false });
  return { name, directory };
}

/** How a service of a template is started: the program that runs its main file, in its folder. */
export interface NewServiceLanguage {
  readonly template: "typescript" | "python";
  readonly command: readonly [program: string, file: string];
}

export const inTypeScript: NewServiceLanguage = {
  template: "typescript",
  command: [process.execPath, "src/main.ts"],
};

/** Writes a native service and starts it as its README says. It ends with the test, or in order with `end`. */
export async function startNewService(
  t: TestContext,
  { template: folder, command: [program, file] }: NewServiceLanguage,
  domain: TemplateDomain,
  environment: Readonly<Record<string, string>>,
): Promise<{ readonly name: string; readonly end: () => void }> {
  const template = await readTemplate(join(checkout, "templates", folder));
  const { name, directory } = await writeNewService(await makeWorkshop(t), template, { domain, mode: "native" });
  const child = spawn(program, [file], {
    cwd: directory,
    stdio: ["ignore", "ignore", "inherit"],
    env: { PATH: process.env.PATH, NEXUS_PORT: "0", NEXUS_LOG_LEVEL: "error", ...environment },
  });
  t.after(() => void child.kill("SIGKILL"));
  return { name, end: () => void child.kill("SIGTERM") };
}
