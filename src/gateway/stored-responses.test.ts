import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openTestResponseStore } from "../../test/support/objects.ts";
import { makeContext } from "../../test/support/translation.ts";
import type { JsonObject } from "../translate/request-fields.ts";
import { type ConversationLimits, StoredResponses } from "./stored-responses.ts";

/** A tenant that asks and is answered, turn by turn. */
function start(limits?: ConversationLimits) {
  const { newId } = makeContext();
  const stored = new StoredResponses(openTestResponseStore(), limits);
  const ask = async (request: JsonObject, tenant = "a") => {
    const opened = await stored.open(tenant, { model: "m", ...request }, newId);
    const id = newId("resp");
    const content = [{ type: "output_text", text: `answer ${id}` }];
    const output = [{ id: newId("msg"), type: "message", role: "assistant", content }];
    const isKept = await stored.keep(tenant, opened, { id, object: "response", output, previous_response_id: null });
    return { id, isKept, opened, outputId: output[0]?.id ?? "" };
  };
  return { stored, ask };
}

const texts = (input: unknown) =>
  (input as { content: string | { text: string }[] }[]).map(({ content }) =>
    typeof content === "string" ? content : content[0]?.text,
  );

describe("stored responses", () => {
  it("tell a model the whole conversation", async () => {
    const { ask, stored } = start();
    const first = await ask({ input: "one" });
    const second = await ask({ input: "two", previous_response_id: first.id });
    const third = await ask({ input: [{ role: "user", content: "three" }], previous_response_id: second.id });
    assert.deepEqual(texts(third.opened.request.input), [
      "one",
      `answer ${first.id}`,
      "two",
      `answer ${second.id}`,
      "three",
    ]);
    const response = (await stored.retrieve("a", third.id)) as { previous_response_id: string };
    assert.equal(response.previous_response_id, second.id);
    const listed = (await stored.inputItems("a", third.id, { order: "asc" })) as { data: unknown };
    assert.deepEqual(texts(listed.data), texts(third.opened.request.input));
  });

  it("branch off wherever the client likes", async () => {
    const { ask } = start();
    const first = await ask({ input: "one" });
    const left = await ask({ input: "left", previous_response_id: first.id });
    const right = await ask({ input: "right", previous_response_id: first.id });
    assert.equal(texts(left.opened.request.input).at(-1), "left");
    assert.deepEqual(texts(right.opened.request.input), ["one", `answer ${first.id}`, "right"]);
  });

  it("put items in place of references to them", async () => {
    const { ask, stored } = start();
    const first = await ask({ input: "one" });
    const input = [
      { type: "item_reference", id: first.outputId },
      { role: "user", content: "two" },
    ];
    const second = await ask({ input });
    assert.deepEqual(texts(second.opened.request.input), [`answer ${first.id}`, "two"]);
    await stored.remove("a", first.id);
    const listed = (await stored.inputItems("a", second.id, { order: "asc" })) as { data: unknown };
    assert.deepEqual(texts(listed.data), [`answer ${first.id}`, "two"]);
    await stored.remove("a", second.id);
    await assert.rejects(ask({ input }), { code: "not_found", param: "input" });
  });

  it("are not kept when the client does not want it", async () => {
    const { ask, stored } = start();
    const { id, isKept } = await ask({ input: "one", store: false });
    assert.equal(isKept, false);
    await assert.rejects(stored.retrieve("a", id), { code: "not_found", status: 404 });
  });

  it("exist for their tenant only", async () => {
    const { ask, stored } = start();
    const { id, outputId } = await ask({ input: "secret" });
    const message = `Response with id '${id}' not found.`;
    await assert.rejects(stored.retrieve("b", id), { code: "not_found", message });
    await assert.rejects(stored.remove("b", id), { code: "not_found", message });
    await assert.rejects(stored.inputItems("b", id, {}), { code: "not_found", message });
    const param = "previous_response_id";
    await assert.rejects(ask({ input: "hi", previous_response_id: id }, "b"), { code: "not_found", param });
    await assert.rejects(ask({ input: [{ type: "item_reference", id: outputId }] }, "b"), { code: "not_found" });
    assert.ok(await stored.retrieve("a", id));
  });

  it("are gone once deleted, and so is what builds on them", async () => {
    const { ask, stored } = start();
    const first = await ask({ input: "one" });
    const second = await ask({ input: "two", previous_response_id: first.id });
    assert.deepEqual(await stored.remove("a", first.id), { id: first.id, object: "response", deleted: true });
    await assert.rejects(stored.remove("a", first.id), { code: "not_found" });
    await assert.rejects(ask({ input: "three", previous_response_id: second.id }), {
      code: "not_found",
      param: "previous_response_id",
    });
    const listed = (await stored.inputItems("a", second.id, {})) as { data: unknown };
    assert.deepEqual(texts(listed.data), ["two"]);
  });

  it("make conversations of bounded length and size", async () => {
    const { ask } = start({ depthMax: 2, bytesMax: 2_000 });
    const first = await ask({ input: "one" });
    const second = await ask({ input: "two", previous_response_id: first.id });
    const third = await ask({ input: "three", previous_response_id: second.id });
    const tooLong = { code: "invalid_request", param: "previous_response_id" };
    await assert.rejects(ask({ input: "four", previous_response_id: third.id }), tooLong);
    const large = await ask({ input: "x".repeat(2_000) });
    await assert.rejects(ask({ input: "more", previous_response_id: large.id }), tooLong);
  });

  it("are no ground for others before they are finished", async () => {
    const { ask, stored } = start();
    const { id } = await ask({ input: "one" });
    const opened = await stored.open("a", { input: "one" }, (prefix) => `${prefix}_x`);
    await stored.keep("a", opened, { ...(await stored.retrieve("a", id)), status: "in_progress" });
    await assert.rejects(ask({ input: "two", previous_response_id: id }), {
      code: "conflict",
      param: "previous_response_id",
    });
  });
});
