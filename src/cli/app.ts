import {
  type Application,
  buildApplication,
  buildRouteMap,
  type FlagNotFoundError,
  formatMessageForArgumentScannerError,
  text_en,
} from "@stricli/core";
import { createRoutes, templatesRoutes } from "./commands/create-commands.ts";
import { explainCommand } from "./commands/explain-command.ts";
import { keysRoutes, tenantsRoutes } from "./commands/key-commands.ts";
import { chatCommand, modelsRoutes } from "./commands/model-commands.ts";
import { imageCommand, ocrCommand } from "./commands/picture-commands.ts";
import {
  doctorCommand,
  downCommand,
  gatewayCommand,
  logsCommand,
  statusCommand,
  upCommand,
  versionCommand,
} from "./commands/platform-commands.ts";
import {
  attachCommand,
  checkCommand,
  detachCommand,
  drainCommand,
  undrainCommand,
} from "./commands/server-commands.ts";
import { configRoutes } from "./commands/settings-commands.ts";
import { speakCommand, transcribeCommand } from "./commands/sound-commands.ts";
import { embedCommand, rerankCommand } from "./commands/text-commands.ts";
import type { CliContext } from "./context.ts";

/** The verbs in the order and the groups of `nexus help`. */
export const verbGroups: Readonly<Record<string, readonly string[]>> = {
  "The platform": ["up", "down", "status", "explain", "logs", "doctor"],
  Models: ["chat", "embed", "rerank", "ocr", "image", "speak", "transcribe", "models"],
  "Model servers": ["attach", "detach", "drain", "undrain", "check"],
  "New services": ["create", "templates"],
  "Access and settings": ["keys", "tenants", "config"],
  Other: ["gateway", "version"],
};

const routes = {
  up: upCommand,
  down: downCommand,
  status: statusCommand,
  explain: explainCommand,
  logs: logsCommand,
  doctor: doctorCommand,
  chat: chatCommand,
  embed: embedCommand,
  rerank: rerankCommand,
  ocr: ocrCommand,
  image: imageCommand,
  speak: speakCommand,
  transcribe: transcribeCommand,
  models: modelsRoutes,
  attach: attachCommand,
  detach: detachCommand,
  drain: drainCommand,
  undrain: undrainCommand,
  check: checkCommand,
  create: createRoutes,
  templates: templatesRoutes,
  keys: keysRoutes,
  tenants: tenantsRoutes,
  config: configRoutes,
  gateway: gatewayCommand,
  version: versionCommand,
};

/** The command tree. Cheap to build: verbs are loaded when they run. */
export function buildCli(): Application<CliContext> {
  return buildApplication<CliContext>(
    buildRouteMap<string, CliContext>({
      routes,
      docs: { brief: "Turns the machines you own into one dependable AI platform." },
    }),
    {
      name: "nexus",
      scanner: {
        caseStyle: "allow-kebab-for-camel",
        allowArgumentEscapeSequence: true,
        distanceOptions: { threshold: 2, weights: { insertion: 1, deletion: 1, substitution: 1, transposition: 1 } },
      },
      documentation: { disableAnsiColor: true, useAliasInUsageLine: false, onlyRequiredInUsageLine: false },
      localization: { text: { ...text_en, headers, briefs, ...usageErrors } },
    },
  );
}

const headers = { usage: "Usage", aliases: "Aliases", commands: "Verbs", flags: "Flags", arguments: "Arguments" };

const briefs = {
  ...text_en.briefs,
  help: "Show this help",
  argumentEscapeSequence: "What follows is an argument, also with a dash in front",
};

const usageErrors = {
  noCommandRegisteredForInput: ({ input, corrections }: { input: string; corrections: readonly string[] }) =>
    `unknown verb '${input}'${didYouMean(corrections.map((name) => name.replaceAll("`", "")))}`,
  exceptionWhileParsingArguments: (thrown: unknown): string =>
    thrown instanceof Error ? lowerFirst(describeArgumentError(thrown)) : String(thrown),
};

type ScannerError = Parameters<typeof formatMessageForArgumentScannerError>[0];

function describeArgumentError(error: Error): string {
  return formatMessageForArgumentScannerError(error as ScannerError, {
    FlagNotFoundError: ({ input, corrections }: FlagNotFoundError) =>
      `unknown flag --${input}${didYouMean(corrections.map((name) => `--${name}`))}`,
    AliasNotFoundError: ({ input }) => `unknown flag -${input}`,
    ArgumentParseError: ({ externalFlagNameOrPlaceholder: name, input, exception }) =>
      `${name}: '${input}' ${exception instanceof Error ? exception.message : "can't be read"}`,
    EnumValidationError: ({ externalFlagName, values }) => `--${externalFlagName} must be one of ${values.join(", ")}`,
    UnexpectedPositionalError: ({ input }) => `unexpected argument '${input}'`,
    UnsatisfiedPositionalError: ({ placeholder }) => `missing argument <${placeholder}>`,
    UnsatisfiedFlagError: ({ externalFlagName }) => `--${externalFlagName} needs a value`,
  });
}

function didYouMean(names: readonly string[]): string {
  return names.length === 0 ? "" : `; did you mean ${names.join(" or ")}?`;
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
