import { NexusError } from "../base/errors.ts";
import { whyNot } from "./manifest.ts";
import type { Template } from "./read-template.ts";
import { renderBytes, renderText } from "./render.ts";
import { isInCheckout, type Surroundings, variablesFor, type Wanted } from "./variables.ts";

/** A file that is to be written. */
export interface PlannedFile {
  /** Below the service's folder, with `/`. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly isExecutable: boolean;
}

/** All that making a service would do. */
export interface ServicePlan {
  readonly directory: string;
  /** In the order of their paths. */
  readonly files: readonly PlannedFile[];
  /** Paths below the service's folder that are to lead to the checkout of Nexus. */
  readonly links: readonly string[];
  /** Commands to show, as they are typed in the service's folder. */
  readonly next: readonly string[];
}

/**
 * Says what a service is made of, and touches nothing.
 * @throws NexusError `invalid_request` when the template does not make such a service, or is at fault.
 */
export function planService(template: Template, wanted: Wanted, surroundings: Surroundings): ServicePlan {
  const { manifest, parts } = template;
  const refusal = whyNot(manifest, wanted);
  if (refusal !== undefined) throw new NexusError("invalid_request", `${refusal}.`);
  const variables = variablesFor(manifest, wanted, surroundings);
  const files = new Map<string, PlannedFile & { readonly part: string }>();
  for (const part of parts.filter(({ isFor }) => isFor(wanted))) {
    for (const { path: pattern, bytes, isExecutable } of part.files) {
      const source = `${part.name}/${pattern}`;
      const path = renderText(pattern, variables, source);
      checkPath(path, source);
      const other = files.get(path);
      if (other !== undefined) {
        throw new NexusError("invalid_request", `Both ${other.part} and ${part.name} have ${path} for this service.`);
      }
      files.set(path, { path, bytes: renderBytes(bytes, variables, source), isExecutable, part: part.name });
    }
  }
  return {
    directory: surroundings.directory,
    files: [...files.values()]
      .map(({ part: _part, ...file }) => file)
      .sort((one, other) => (one.path < other.path ? -1 : 1)),
    links: isInCheckout(surroundings) ? [] : manifest.links,
    next: manifest.next.map((line) => renderText(line, variables, "template.yaml")),
  };
}

function checkPath(path: string, source: string): void {
  const isSafe = path.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
  if (isSafe && !path.includes("\\")) return;
  throw new NexusError("invalid_request", `${source} becomes ${path}, which is no path below the service's folder.`);
}
