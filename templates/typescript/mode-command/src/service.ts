import { defineService, readCommand, type Service, serveCommand } from "nexus/service-kit";

/** The program that command.yaml names, as a service. */
export async function createService(variables: Readonly<Record<string, string | undefined>>): Promise<Service> {
  const command = await readCommand(new URL("../command.yaml", import.meta.url), variables);
  return defineService({
    name: "{{name}}",
    version: "0.1.0",
    description: "{{title}}",
    backend: { name: command.program.command[0] },
    models: () => [{ id: "{{name}}", domains: ["{{domain}}"], state: "loaded" }],
    ...serveCommand("{{domain}}", command),
  });
}
