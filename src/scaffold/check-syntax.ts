import { execFile } from "node:child_process";
import { parseAllDocuments } from "yaml";
import { describeError } from "../base/errors.ts";
import { checkCompose, checkDockerfile } from "./check-container.ts";

/** What is wrong with the text of a file, or undefined. */
type SyntaxCheck = (text: string) => string | undefined;

const byName: Readonly<Record<string, SyntaxCheck>> = { Dockerfile: checkDockerfile, "compose.yaml": checkCompose };
const byEnding: Readonly<Record<string, SyntaxCheck>> = { json: jsonProblem, yaml: yamlProblem, yml: yamlProblem };

function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}

function yamlProblem(text: string): string | undefined {
  const documents = parseAllDocuments(text);
  const [problem] = Array.isArray(documents) ? documents.flatMap(({ errors }) => errors) : [];
  return problem?.message.split("\n")[0];
}

/** Each reads a JSON list of texts on stdin and prints the list of what is wrong with them, null where nothing is. */
const typeScriptProgram = `
const { stripTypeScriptTypes } = require("node:module");
const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const problem = (text) => {
  try {
    stripTypeScriptTypes(text);
    return null;
  } catch (error) {
    return error.message;
  }
};
process.stdout.write(JSON.stringify(texts.map(problem)));
`;
const pythonProgram = `
import json, sys
def problem(text):
    try:
        compile(text, "template", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
print(json.dumps([problem(text) for text in json.load(sys.stdin)]))
`;
const interpreterMsMax = 30_000;

interface Language {
  readonly endings: RegExp;
  readonly file: string;
  readonly args: readonly string[];
}

/** Languages that only their own interpreters can read. Neither runs what it reads. */
const languages: readonly Language[] = [
  { endings: /\.(ts|mts|js|mjs)$/, file: process.execPath, args: ["--no-warnings", "-e", typeScriptProgram] },
  { endings: /\.py$/, file: "python3", args: ["-I", "-c", pythonProgram] },
];

export interface CheckedText {
  readonly path: string;
  readonly text: string;
}

/** What is wrong with each of many files, as their names say what they are. What nobody knows is taken as it is. */
export async function checkSyntax(files: readonly CheckedText[]): Promise<readonly (string | undefined)[]> {
  const found = new Map<CheckedText, string | undefined>();
  for (const file of files) found.set(file, checkAlone(file));
  for (const language of languages) {
    const own = files.filter(({ path }) => language.endings.test(path));
    const said = own.length === 0 ? [] : await askInterpreter(language, own);
    own.forEach((file, index) => {
      found.set(file, said[index]);
    });
  }
  return files.map((file) => found.get(file));
}

function checkAlone({ path, text }: CheckedText): string | undefined {
  const name = path.split("/").at(-1) ?? "";
  return byEnding[name.split(".").at(-1) ?? ""]?.(text) ?? byName[name]?.(text);
}

async function askInterpreter(
  { file, args }: Language,
  files: readonly CheckedText[],
): Promise<readonly (string | undefined)[]> {
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      const options = { timeout: interpreterMsMax, maxBuffer: 16 * 1024 * 1024 };
      const child = execFile(file, args, options, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      );
      child.stdin?.on("error", () => {}).end(JSON.stringify(files.map(({ text }) => text)));
    });
    return (JSON.parse(answer) as (string | null)[]).map((one) => one ?? undefined);
  } catch (error) {
    return files.map(() => `nobody can look at it: ${describeError(error).slice(0, 200)}`);
  }
}
