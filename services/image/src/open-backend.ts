import { readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { parseComfyUiWorkflow } from "nexus/service-kit";
import { createAutomatic1111 } from "./backends/automatic1111.ts";
import { createComfyUi } from "./backends/comfyui.ts";
import { createInvokeAi } from "./backends/invokeai.ts";
import { createOpenAi } from "./backends/openai.ts";
import { createSdCpp } from "./backends/sdcpp.ts";
import type { ImageBackend } from "./image-backend.ts";
import type { ImageSettings } from "./settings.ts";

/**
 * The backend that the settings choose.
 * @throws NexusError `invalid_request` for a workflow that is none.
 */
export function openBackend(
  settings: ImageSettings,
  environment: Readonly<Record<string, string | undefined>>,
): ImageBackend {
  const { url, key } = settings;
  switch (settings.backend) {
    case "comfyui":
      return createComfyUi({ baseUrl: url, key, workflow: readWorkflow(settings.workflow) });
    case "automatic1111":
      return createAutomatic1111(url, key);
    case "invokeai":
      return createInvokeAi(url, key);
    case "openai":
      return createOpenAi(url, key);
    case "sdcpp":
      return createSdCpp({ ...settings, environment });
  }
}

function readWorkflow(path: string | undefined) {
  if (path === undefined) return undefined;
  return {
    name: basename(path, extname(path)),
    nodes: parseComfyUiWorkflow(readFileSync(path, "utf8"), "NEXUS_IMAGE_WORKFLOW"),
  };
}
