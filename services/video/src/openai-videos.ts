import { NexusError } from "nexus/base";
import { createUpstream, type JobBackend, type JobOrder, type JobState } from "nexus/service-kit";
import { z } from "zod";

const title = "The video server";
const modelsSchema = z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) });
const jobSchema = z.looseObject({
  id: z.string(),
  status: z.string(),
  progress: z.number().nullish(),
});

/** Any server with OpenAI's videos API: vLLM-Omni, SGLang, LocalAI, other gateways. */
export function createOpenAiVideos(baseUrl: string, key: string | undefined): JobBackend {
  const upstream = createUpstream({ baseUrl, title, key });
  const one = (ref: string) => `/v1/videos/${encodeURIComponent(ref)}`;
  return {
    title,
    vendor: "",
    hint: "Start it, or say in NEXUS_VIDEO_URL where it is.",
    async look(signal) {
      const { data } = modelsSchema.parse(await upstream.json("/v1/models", { signal }));
      return { models: data.map(({ id }) => id) };
    },
    async create(order, signal) {
      const body = order.files.length === 0 ? { json: order.fields } : { form: toForm(order) };
      const answer = await upstream.json("/v1/videos", { ...body, signal, timeoutMs: createMs });
      return jobSchema.parse(answer).id;
    },
    async state(ref, signal) {
      try {
        return toState(jobSchema.parse(await upstream.json(one(ref), { signal })));
      } catch (error) {
        if (error instanceof NexusError && error.code === "not_found") return undefined;
        throw error;
      }
    },
    async content(ref, query, signal) {
      const variant = query.get("variant");
      const suffix = variant === null ? "" : `?${new URLSearchParams({ variant })}`;
      const body = await upstream.open(`${one(ref)}/content${suffix}`, { signal });
      if (body.statusCode === 200) return { contentType: body.headers["content-type"] ?? "video/mp4", body };
      body.destroy();
      throw new NexusError("not_found", `${title} does not have this file.`, { detail: `status ${body.statusCode}` });
    },
    async remove(ref, signal) {
      const { status } = await upstream.ask(one(ref), { method: "DELETE", signal });
      if (status >= 300 && status !== 404) {
        throw new NexusError("backend_error", `${title} does not let go of the job.`, { detail: `status ${status}` });
      }
    },
    async remix(ref, { prompt }, signal) {
      const answer = await upstream.json(`${one(ref)}/remix`, { json: { prompt }, signal, timeoutMs: createMs });
      return jobSchema.parse(answer).id;
    },
  };
}

/** Some load a model before they say that they have begun. */
const createMs = 120_000;

/** Beyond OpenAI's there are servers that can be told to cancel. */
const states: Readonly<Record<string, JobState["status"]>> = {
  queued: "queued",
  in_progress: "in_progress",
  processing: "in_progress",
  running: "in_progress",
  completed: "completed",
};

function toState({ status, progress }: z.output<typeof jobSchema>): JobState {
  const known = states[status] ?? "failed";
  if (known !== "failed") return { status: known, progress: progress ?? 0 };
  return { status: "failed", progress: 0, problem: `${title} could not make the film; its own log says why.` };
}

function toForm({ fields, files }: JobOrder): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value != null) form.append(name, String(value));
  for (const { name, filename, contentType, bytes } of files) {
    form.append(name, new Blob([new Uint8Array(bytes)], { type: contentType }), filename);
  }
  return form;
}
