import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createService } from "./service.ts";

const service = await createService(process.env);
await runService(service, readServiceEnvironment({ NEXUS_PORT: "{{port}}", ...process.env }));
