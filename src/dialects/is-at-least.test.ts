import assert from "node:assert/strict";
import { test } from "node:test";
import { isAtLeast } from "./is-at-least.ts";

test("versions are compared number by number", () => {
  for (const version of ["0.14.0", "0.14", "0.14.1-rc2", "v1", "0.100.0", "version 0.14.0 (abc)"]) {
    assert.equal(isAtLeast(version, "0.14.0"), true, version);
  }
  for (const version of ["", "unknown", "0.13.9", "0.9.20", "0", "v0.13"]) {
    assert.equal(isAtLeast(version, "0.14.0"), false, version);
  }
});
