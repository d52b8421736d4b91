import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createService } from "./service.ts";

await runService(createService(), readServiceEnvironment({ NEXUS_PORT: "{{port}}", ...process.env }));
