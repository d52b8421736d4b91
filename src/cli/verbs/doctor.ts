import { describeError } from "../../base/errors.ts";
import { clientUrl } from "../../config/client-url.ts";
import { ConfigError, describeProblem } from "../../config/config-error.ts";
import type { LoadedConfig } from "../../config/load.ts";
import type { PlatformStatus } from "../../control/status.ts";
import { checkDataDirectory, checkDisk, checkMemory, checkNode, checkPip, checkPort } from "../check-machine.ts";
import { checkRuntimes, type RuntimesRecord } from "../check-runtimes.ts";
import { CliError } from "../cli-error.ts";
import { type Finding, ok, problem, warning } from "../diagnosis.ts";
import { exitCodes } from "../exit-codes.ts";
import type { ConfigFlag, DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform, locatePaths, type Platform } from "../platform.ts";
import type { Palette } from "../terminal.ts";
import type { Verb } from "../verb.ts";
import { loadPlatformConfig } from "../verb-config.ts";

export interface DoctorFlags extends DataFlag, ConfigFlag, JsonFlag {}

/** `nexus doctor`: every check runs, whatever the others find. */
export const doctor: Verb<DoctorFlags, []> = async ({ context }, flags) => {
  const paths = locatePaths(context, flags);
  const config = await loadPlatformConfig(context, flags).catch((error: unknown) => toConfigError(error));
  const platform = findPlatform(context, flags);
  const status = await platform.status().catch((error: unknown) => toCliError(error));
  const findings = [
    checkNode(),
    checkMemory(),
    await checkDisk(paths),
    await checkDataDirectory(paths),
    ...describeConfig(config),
    ...(config instanceof ConfigError ? [] : [await checkPort(config.config.listen, addressOf(status))]),
    await checkPip(context.environment),
    ...(await checkServices(platform, context.environment.PATH ?? "")),
    ...describeStatus(status),
  ];
  const hasProblem = findings.some((finding) => finding.status === "problem");
  return {
    json: { ok: !hasProblem, findings },
    text: findings.flatMap((finding) => describeFinding(finding, context.terminal.paint)),
    exitCode: hasProblem ? exitCodes.failed : exitCodes.ok,
  };
};

/** Only what runs here can be looked into from here. */
async function checkServices({ paths, call }: Platform, path: string): Promise<readonly Finding[]> {
  if (paths === undefined) return [];
  const asked = call<{ readonly instances: readonly RuntimesRecord[] }>({ method: "GET", path: "/v1/nexus/registry" });
  // Without a platform there are no services; that is said already.
  const { instances } = await asked.catch(() => ({ instances: [] }));
  return checkRuntimes(instances, path);
}

function toConfigError(error: unknown): ConfigError {
  if (error instanceof ConfigError) return error;
  throw error;
}

function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  return new CliError(exitCodes.failed, "internal_error", describeError(error));
}

function isPlatform(status: PlatformStatus | CliError): status is PlatformStatus {
  return !(status instanceof CliError);
}

function addressOf(status: PlatformStatus | CliError): PlatformStatus["address"] {
  return isPlatform(status) ? status.address : null;
}

function describeConfig(config: LoadedConfig | ConfigError): Finding[] {
  if (config instanceof ConfigError) {
    return config.problems.map((found) =>
      problem("configuration", describeProblem(found), `\`nexus config explain ${found.path || "KEY"}\` describes it.`),
    );
  }
  const warnings = config.warnings.map((text) =>
    warning("configuration", text, "Unset it, or write it as it is meant."),
  );
  return [ok("configuration", config.file ?? "none: the defaults hold"), ...warnings];
}

function describeStatus(status: PlatformStatus | CliError): Finding[] {
  if (!isPlatform(status)) {
    // None that runs is no fault of the machine's.
    const judge = status.code === "no_platform" ? warning : problem;
    return [judge("platform", status.message, status.hint ?? "")];
  }
  const { address, models, problems } = status;
  return [
    ok("platform", `version ${status.version}, ${status.processes.length} processes`),
    address === null || status.state !== "ready"
      ? problem("gateway", "is not ready", "`nexus logs gateway` may say why.")
      : ok("gateway", `ready at ${clientUrl(address)}`),
    models.length === 0
      ? warning(
          "models",
          "none is served",
          "`nexus models` lists those that can be had; `nexus attach URL` adds a server.",
        )
      : ok("models", models.map((model) => model.id).join(", ")),
    ...problems.map(({ subject, message, fix }) => problem(subject, message, fix)),
  ];
}

const marks = { ok: ["green", "✓"], warning: ["yellow", "!"], problem: ["red", "✗"] } as const;

function describeFinding({ check, status, seen, fix }: Finding, paint: Palette): string[] {
  const [style, mark] = marks[status];
  return [`${paint(style, mark)} ${check.padEnd(16)}${seen}`, ...(fix === "" ? [] : [`${" ".repeat(18)}${fix}`])];
}
