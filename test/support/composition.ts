import { chown, copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "../../src/base/logger.ts";
import { addModel, defaultEmbeddingModelId, pullModel } from "../../src/blobs/index.ts";
import { makeBaseImage } from "./container-base.ts";
import { type DockerEngine, startDockerEngine } from "./docker-engine.ts";
import { writeTinyGguf } from "./tiny-gguf.ts";
import { waitFor } from "./wait-for.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const directory = join(root, "deploy", "compose");
const project = "nexus-test";
/** The user of the images. */
const user = 1000;

/** `deploy/compose/compose.yaml`, up, with small models of its own. */
export interface Composition {
  readonly engine: DockerEngine;
  readonly baseTag: string;
  /** Of the gateway, as clients reach it. */
  readonly url: string;
  /** Id of a service's container. */
  container(service: string): string;
  /** What Docker knows of a service's container. */
  inspect(service: string): Promise<Inspected>;
  /** Resolves when its health check says so. */
  healthy(service: string): Promise<Inspected>;
  close(): Promise<void>;
}

export interface Inspected {
  readonly Id: string;
  readonly RestartCount: number;
  readonly State: {
    readonly Pid: number;
    readonly Running: boolean;
    readonly ExitCode: number;
    readonly StartedAt: string;
    readonly Health?: { readonly Status: string };
  };
  readonly Config: { readonly User: string; readonly Env: readonly string[] };
  readonly HostConfig: { readonly ReadonlyRootfs: boolean; readonly CapDrop: readonly string[] };
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>>;
  };
}

/** The services of the composition that run without a profile, and what builds their images. */
export const composed = {
  gateway: ["--target", "platform"],
  llm: ["--target", "service", "--build-arg", "SERVICES=llm"],
  embeddings: ["--target", "service", "--build-arg", "SERVICES=embeddings"],
} as const;

export function imageOf(service: string): string {
  return service === "gateway" ? "nexus:test" : `nexus-${service}:test`;
}

const baseTag = "nexus-test-base:1";

/** Builds an image of the repository on the base that was made. */
async function buildImage(engine: DockerEngine, tag: string, options: readonly string[]): Promise<void> {
  const file = join(root, "deploy", "docker", "Dockerfile");
  // A registry that this machine reaches is reached from its network.
  const where = ["--network", "host", "--build-arg", `BASE=${baseTag}`, "--file", file];
  await engine.docker("build", "--quiet", ...where, ...options, "--tag", tag, root);
}

/** Starts an engine, builds the images and brings the composition up. */
export async function openComposition(): Promise<Composition> {
  await using undo = new AsyncDisposableStack();
  const work = await mkdtemp(join(tmpdir(), "nexus-compose-"));
  undo.defer(() => rm(work, { recursive: true, force: true }));
  const engine = await startDockerEngine();
  undo.defer(() => engine.close());
  await makeBaseImage(engine.command, baseTag);
  const images = Object.entries(composed);
  await Promise.all(images.map(([service, options]) => buildImage(engine, imageOf(service), options)));

  const models = join(work, "models");
  await makeModels(models);
  const override = join(work, "override.json");
  await writeFile(override, JSON.stringify(overriding(models)));
  const port = await freePort();
  const variables = { NEXUS_PORT: String(port), NEXUS_TAG: "test", COMPOSE_PROJECT_NAME: project };
  const files = ["--file", join(directory, "compose.yaml"), "--file", override];
  await engine.compose([...files, "up", "--detach", "--no-build"], variables);
  const ended = undo.move();

  const ids = new Map<string, string>();
  for (const service of Object.keys(composed)) {
    ids.set(service, (await engine.compose([...files, "ps", "--quiet", service], variables)).trim());
  }
  const container = (service: string) => ids.get(service) ?? "";
  const inspect = async (service: string): Promise<Inspected> => {
    const [found] = JSON.parse(await engine.docker("inspect", container(service))) as Inspected[];
    if (found === undefined) throw new Error(`there is no container of ${service}`);
    return found;
  };
  return {
    engine,
    baseTag,
    url: `http://127.0.0.1:${port}`,
    container,
    inspect,
    async healthy(service) {
      const look = async () => {
        const found = await inspect(service);
        return found.State.Running && found.State.Health?.Status === "healthy" && found;
      };
      return await waitFor(`${service} is healthy`, look, 60_000);
    },
    close: () => ended.disposeAsync(),
  };
}

/** A model that says anything, and a real one for vectors; both belong to the user of the images. */
async function makeModels(place: string): Promise<void> {
  await mkdir(place);
  await addModel({ directory: place, id: "tiny", from: await writeTinyGguf(join(place, "tiny.gguf")) });
  const shared = process.env.NEXUS_TEST_MODELS || join(tmpdir(), "nexus-test-models");
  const signal = AbortSignal.timeout(120_000);
  const options = { id: defaultEmbeddingModelId, environment: process.env, signal, log: silentLogger };
  const { path } = await pullModel({ ...options, directory: shared });
  await copyFile(path, join(place, "vectors.gguf"));
  await addModel({ directory: place, id: "vectors", from: join(place, "vectors.gguf") });
  for (const entry of [".", ...(await readdir(place, { recursive: true }))])
    await chown(join(place, entry), user, user);
}

/** What a test has otherwise: its own models, quicker health checks, and no name servers to wait for. */
function overriding(models: string): object {
  const quick = { healthcheck: { interval: "1s" }, dns: ["127.0.0.1"] };
  const service = (environment: object) => ({
    ...quick,
    environment: { ...environment, NEXUS_MODELS_DIR: models },
    volumes: [`${models}:${models}`],
  });
  return {
    services: {
      gateway: quick,
      llm: service({ NEXUS_LLM_MODEL: "tiny", NEXUS_LLM_CONTEXT: "2048" }),
      embeddings: service({ NEXUS_EMBEDDINGS_MODEL: "vectors" }),
    },
  };
}

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}
