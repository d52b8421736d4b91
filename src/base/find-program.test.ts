import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { findProgram } from "./find-program.ts";

test("a program is what the system would run, and nothing that is only called so", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "nexus-program-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [first, second, empty] = ["first", "second", "empty"].map((name) => join(directory, name));
  for (const folder of [first, second, empty]) mkdirSync(folder ?? "");
  mkdirSync(join(first ?? "", "a-folder"));
  writeFileSync(join(first ?? "", "tool"), "#!/bin/sh\n");
  for (const name of ["tool", "a-folder", "other"]) {
    writeFileSync(join(second ?? "", name), "#!/bin/sh\n");
    chmodSync(join(second ?? "", name), 0o755);
  }
  const path = ["", empty, "/nowhere", first, second].join(delimiter);
  const find = (name: string) => findProgram(name, { path, directory });
  assert.equal(find("other"), join(second ?? "", "other"));
  assert.equal(find("a-folder"), join(second ?? "", "a-folder"));
  assert.equal(find("none"), undefined);
  assert.equal(find("second/tool"), join(second ?? "", "tool"), "from the directory");
  assert.equal(find(join(second ?? "", "tool")), join(second ?? "", "tool"));
  assert.equal(findProgram("tool", { path: first ?? "" }), undefined, "nobody may run it");
});
