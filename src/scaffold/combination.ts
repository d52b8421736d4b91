import { domainSchema } from "../contract/metadata.ts";

/** What services are for that a template can make. Agents are not made of templates: they act through others. */
export const templateDomains = domainSchema.exclude(["agent"]).options;
export type TemplateDomain = (typeof templateDomains)[number];

/** Who does the work: the handler that somebody writes, an HTTP server that exists, or a program for each request. */
export const templateModes = ["native", "upstream", "command"] as const;
export type TemplateMode = (typeof templateModes)[number];

/** What somebody wants a service to be. */
export interface Combination {
  readonly domain: TemplateDomain;
  readonly mode: TemplateMode;
}
