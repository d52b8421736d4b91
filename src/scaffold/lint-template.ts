import { describeError, type NexusError } from "../base/errors.ts";
import { checkSyntax } from "./check-syntax.ts";
import type { Combination } from "./combination.ts";
import { combinationsOf } from "./manifest.ts";
import { type PlannedFile, planService } from "./plan-service.ts";
import type { Template } from "./read-template.ts";

/** Something that is wrong with a template. */
export interface LintProblem {
  /** A file or folder of the service or the template, and the combination that shows it. */
  readonly where: string;
  readonly problem: string;
}

export interface LintReport {
  readonly combinations: readonly Combination[];
  /** Files that were looked at: one that is the same in several combinations counts once. */
  readonly files: number;
  readonly problems: readonly LintProblem[];
}

/** What every service has, whatever made it. */
const promised = ["README.md", "Dockerfile", "compose.yaml", ".env.example"];
/** A name with all that names may have in it. */
const sample = { name: "lint-1.a_b", port: 8810 };

/** A template that can't even be read, with the reason. */
export function unreadable(source: string, error: NexusError): LintReport {
  return { combinations: [], files: 0, problems: [{ where: source, problem: error.message }] };
}

/** Renders every combination of a template and looks at each file that comes out. Runs nothing of it. */
export async function lintTemplate(template: Template, nexusVersion: string): Promise<LintReport> {
  const combinations = combinationsOf(template.manifest);
  const problems: LintProblem[] = [];
  const files = new Map<string, { readonly where: string; readonly file: PlannedFile }>();
  for (const combination of combinations) {
    const label = `${combination.domain} ${combination.mode}`;
    try {
      const surroundings = { directory: "/lint/service", nexus: "/lint/nexus", nexusVersion };
      const plan = planService(template, { ...sample, ...combination }, surroundings);
      for (const file of plan.files) {
        const key = `${file.path}\0${file.bytes.toString("latin1")}`;
        if (!files.has(key)) files.set(key, { where: `${file.path} (${label})`, file });
      }
      const paths = new Set(plan.files.map(({ path }) => path));
      for (const path of promised.filter((one) => !paths.has(one))) {
        problems.push({ where: label, problem: `there is no ${path}` });
      }
    } catch (error) {
      problems.push({ where: label, problem: describeError(error) });
    }
  }
  problems.push(...unusedParts(template, combinations), ...(await fileProblems([...files.values()])));
  return { combinations, files: files.size, problems };
}

function unusedParts({ parts }: Template, combinations: readonly Combination[]): readonly LintProblem[] {
  return parts
    .filter(({ isFor }) => !combinations.some(isFor))
    .map(({ name }) => ({ where: `${name}/`, problem: "is for no combination that the template makes" }));
}

async function fileProblems(
  files: readonly { readonly where: string; readonly file: PlannedFile }[],
): Promise<readonly LintProblem[]> {
  const said = await checkSyntax(files.map(({ file }) => ({ path: file.path, text: file.bytes.toString("utf8") })));
  return files.flatMap(({ where }, index) => {
    const problem = said[index];
    return problem === undefined ? [] : [{ where, problem }];
  });
}
