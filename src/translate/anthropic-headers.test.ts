import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { anthropicHeaders } from "./anthropic-headers.ts";

// proves: anthropic.headers
describe("anthropicHeaders", () => {
  it("takes the version and the betas, from however many headers, each once", () => {
    const sent = [
      "Host",
      "x",
      "Anthropic-Version",
      "2023-06-01",
      "anthropic-beta",
      "a-2025-01-01, b",
      "ANTHROPIC-BETA",
    ];
    assert.deepEqual(anthropicHeaders([...sent, "b,c_1"]), {
      "anthropic-version": "2023-06-01",
      "anthropic-beta": "a-2025-01-01,b,c_1",
    });
  });

  it("takes nothing else, and no value for a name", () => {
    const sent = ["x-api-key", "secret", "anthropic-dangerous", "1", "x-note", "anthropic-beta", "cookie", "a"];
    assert.deepEqual(anthropicHeaders(sent), {});
  });

  it("leaves out what is no version and no name of a beta", () => {
    const odd = ["a b", "", "a\u0000", "é", "-a", "x".repeat(65), "good"].join(",");
    assert.deepEqual(anthropicHeaders(["anthropic-version", "latest", "anthropic-beta", odd]), {
      "anthropic-beta": "good",
    });
  });

  it("is bounded", () => {
    const many = Array.from({ length: 1_000 }, (_, at) => `beta-${at}`).join(",");
    const { "anthropic-beta": betas = "" } = anthropicHeaders(["anthropic-beta", many]);
    assert.equal(betas.split(",").length, 32);
  });
});
