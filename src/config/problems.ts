import type { z } from "zod";
import { closestName } from "../base/close-names.ts";
import { type ConfigProblem, formatPath } from "./config-error.ts";
import { type JsonSchema, namesAt } from "./config-keys.ts";
import type { ConfigPath } from "./yaml-source.ts";

type Issue = z.core.$ZodIssue;

export interface ProblemContext {
  readonly schema: JsonSchema;
  /** Where a value came from, in words that lead there: `nexus.yaml:12`. */
  readonly whereIs: (path: ConfigPath) => string;
}

/** Puts Zod's issues into words: where, which key, what is wrong, what was meant. */
export function describeConfigIssues(issues: readonly Issue[], context: ProblemContext): ConfigProblem[] {
  return issues.flatMap((issue) => describeIssue(issue, [], context));
}

function describeIssue(issue: Issue, parent: ConfigPath, context: ProblemContext): ConfigProblem[] {
  const path = [...parent, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => problemAt([...path, key], describeUnknownKey(key, path, context.schema), context));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    return nearestBranch(issue.errors).flatMap((inner) => describeIssue(inner, path, context));
  }
  return [problemAt(path, describeValue(issue), context)];
}

/** Of a union's branches, the one that was probably meant: the one that got furthest before it failed. */
function nearestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const depthOf = (branch: readonly Issue[]) =>
    Math.min(...branch.map((issue) => issue.path.length + (issue.code === "unrecognized_keys" ? 1 : 0)));
  return branches.reduce((best, branch) => (depthOf(branch) > depthOf(best) ? branch : best));
}

function problemAt(path: ConfigPath, message: string, context: ProblemContext): ConfigProblem {
  return { where: context.whereIs(path), path: formatPath(path), message };
}

function describeUnknownKey(key: string, parent: ConfigPath, schema: JsonSchema): string {
  const known = namesAt(schema, parent) ?? [];
  const meant = closestName(key, known);
  if (meant !== undefined) return `unknown key; did you mean '${meant}'?`;
  return known.length === 0 ? "unknown key" : `unknown key; known here: ${known.join(", ")}`;
}

const typeWords: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  tuple: "a list",
  object: "a group of keys",
  record: "a map of names",
};

function describeValue(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined && issue.message.includes("received undefined")
        ? "is required"
        : `must be ${typeWords[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
    case "too_small":
      return describeLimit(issue.origin, "least", issue.minimum, issue.inclusive);
    case "too_big":
      return describeLimit(issue.origin, "most", issue.maximum, issue.inclusive);
    case "invalid_format":
      return issue.message.startsWith("Invalid") && issue.format === "url"
        ? "must be a URL"
        : lowerFirst(issue.message);
    default:
      return lowerFirst(issue.message);
  }
}

function describeLimit(origin: string, side: "least" | "most", limit: number | bigint, inclusive = true): string {
  if (origin === "string" && side === "least" && limit === 1) return "must not be empty";
  const units: Readonly<Record<string, string>> = { string: " characters", array: " items", record: " names" };
  if (inclusive) return `must be at ${side} ${limit}${units[origin] ?? ""}`;
  return `must be ${side === "least" ? "more" : "less"} than ${limit}${units[origin] ?? ""}`;
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
