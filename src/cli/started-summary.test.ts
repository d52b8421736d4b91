import assert from "node:assert/strict";
import { test } from "node:test";
import type { InstanceStatus, ModelStatus } from "../control/status.ts";
import { preferredChatModel } from "./started-summary.ts";

const model = (id: string, ...instances: string[]): ModelStatus => ({
  id,
  domains: ["chat"],
  context_window: null,
  state: "loaded",
  instances,
});

function instance(key: string, labels: Record<string, string>): InstanceStatus {
  return {
    ...{ key, labels, service: "s", instance: "i", host: "h", base_url: "http://h", dialect: "vllm", backend: "vLLM" },
    ...{ state: "ready", state_reason: "", models: [], drained: false },
  };
}

test("the line to paste never asks for a model that only costs money", () => {
  const instances = [instance("anthropic/claude", { "nexus.paid": "true" }), instance("vllm/rack", {})];
  const paid = model("a-paid-one", "anthropic/claude");
  assert.equal(preferredChatModel({ models: [paid], instances }), undefined);
  assert.equal(preferredChatModel({ models: [paid, model("b", "vllm/rack")], instances }), "b");
  assert.equal(preferredChatModel({ models: [model("c", "anthropic/claude", "vllm/rack")], instances }), "c");
});
