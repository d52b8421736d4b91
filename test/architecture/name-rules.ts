import { basename } from "node:path/posix";
import type { Rule } from "./rule.ts";

const kebabCase = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.(ts|mjs)$/;
/** Names of drawers, not of things. */
const drawer = /(^|\/)(common|lib|misc|shared|stuff)([/.]|$)|(^|[-/])(helper|manager|util)s?([-/.]|$)/;
const drawerDeclaration = /^(?:export )?(?:class|interface|type|function|const) (\w+(?:Manager|Helper|Util)s?)\b/gm;
const hungarianInterface = /^(?:export )?interface (I[A-Z][a-z]\w*)/gm;

const filesAreNamedAfterWhatTheyHold: Rule = {
  name: "files are named after what they hold",
  *find({ files }) {
    for (const { path } of files) {
      if (!kebabCase.test(basename(path)))
        yield { where: path, what: "is not kebab-case: rename it like `plan-route.ts`" };
      if (drawer.test(path)) yield { where: path, what: "is named as a drawer: name it after what it holds" };
    }
  },
  broken: { "src/base/writeFile.ts": "", "src/base/string-utils.ts": "", "src/base/helpers/a.ts": "" },
};

const thingsAreNamedAfterWhatTheyAre: Rule = {
  name: "things are named after what they are",
  *find({ files }) {
    for (const { path, text } of files) {
      for (const pattern of [drawerDeclaration, hungarianInterface]) {
        for (const match of text.matchAll(pattern)) {
          const line = text.slice(0, match.index).split("\n").length;
          yield { where: `${path}:${line}`, what: `${match[1]}: say what it does, without Manager, Helper, Util or I` };
        }
      }
    }
  },
  broken: { "src/base/a.ts": "export class ThingManager {}", "src/base/b.ts": "export interface IThing { a: 1 }" },
};

export const nameRules: readonly Rule[] = [filesAreNamedAfterWhatTheyHold, thingsAreNamedAfterWhatTheyAre];
