import { defineService, readUpstream, type Service, serveUpstream } from "nexus/service-kit";

/** The server that upstream.yaml describes, as a service. `UPSTREAM_URL` says where it is, if not where the file says. */
export async function createService(variables: Readonly<Record<string, string | undefined>>): Promise<Service> {
  const upstream = await readUpstream(new URL("../upstream.yaml", import.meta.url), variables);
  return defineService({
    name: "{{name}}",
    version: "0.1.0",
    description: "{{title}}",
    backend: { name: upstream.settings.title },
    ...serveUpstream(upstream),
  });
}
