import { NexusError } from "../base/errors.ts";
import type { ControlRoutes } from "./server.ts";

/** One thing that is wrong with the configuration file. */
export interface ConfigProblemInfo {
  /** `nexus.yaml:12`. */
  readonly where: string;
  readonly path: string;
  readonly message: string;
}

/** `GET /v1/nexus/config`: which configuration is in force. */
export interface ConfigStatus {
  readonly file: string | null;
  /** Of the file's content that is in force. */
  readonly digest: string;
  readonly in_force_since: string;
  /** What is wrong with the file as it is now, and since when; null while it is the one in force. */
  readonly refused: { readonly since: string; readonly problems: readonly ConfigProblemInfo[] } | null;
  readonly reloads: Readonly<Record<"applied" | "unchanged" | "refused", number>>;
}

/** `POST /v1/nexus/config/reload`, when it was not refused. */
export interface ReloadAnswer {
  readonly outcome: "applied" | "unchanged";
  readonly changes: readonly { readonly key: string; readonly kind: "added" | "changed" | "removed" }[];
  /** Processes that have not taken it over yet. */
  readonly waiting: readonly string[];
}

export interface ConfigControl {
  status(): ConfigStatus;
  /** Resolves once it is in force, or it is clear that this takes longer. */
  reload(): Promise<ReloadAnswer | { readonly outcome: "refused"; readonly problems: readonly ConfigProblemInfo[] }>;
}

/** `GET /v1/nexus/config` and `POST /v1/nexus/config/reload`. */
export function configRoutes(control: ConfigControl): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/config", async () => control.status());
    server.post("/v1/nexus/config/reload", async () => {
      const answer = await control.reload();
      if (answer.outcome !== "refused") return answer;
      const problems = answer.problems.map(
        ({ where, path, message }) => `${where}  ${path === "" ? message : `${path}: ${message}`}`,
      );
      throw new NexusError(
        "config_refused",
        `Nothing of it holds; the configuration before stays in force.\n${problems.join("\n")}`,
      );
    });
  };
}
