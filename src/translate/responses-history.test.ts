import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeContext } from "../../test/support/translation.ts";
import { collectResponse, finalResponse } from "./collect-response.ts";
import { itemReferences, listItems, storableInput, withHistory, withoutStore } from "./responses-history.ts";

const message = (id: string) => ({ id, type: "message", role: "user", content: [{ type: "input_text", text: id }] });

describe("responses: history", () => {
  it("comes before what is said now", () => {
    const request = { model: "m", input: "and now?", previous_response_id: "resp_1" };
    assert.deepEqual(withHistory(request, [message("a")]).input, [
      message("a"),
      { type: "message", role: "user", content: "and now?" },
    ]);
    assert.equal(withHistory(request, []), request);
    assert.deepEqual(withoutStore(request), { model: "m", input: "and now?", store: false });
  });

  it("replaces references by items", () => {
    const input = [{ type: "item_reference", id: "a" }, { id: "b" }, { role: "user", content: "hi" }];
    const request = { model: "m", input };
    assert.deepEqual(itemReferences(request), ["a", "b"]);
    const known = new Map([
      ["a", message("a")],
      ["b", message("b")],
    ]);
    assert.deepEqual(withHistory(request, [], known).input, [message("a"), message("b"), input[2]]);
    known.delete("b");
    assert.throws(() => withHistory(request, [], known), { code: "invalid_request", param: "input[1].id" });
  });

  it("is stored with an id for every item", () => {
    const { newId } = makeContext();
    assert.deepEqual(storableInput({ input: "hi" }, newId), [
      { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }], id: "msg_1" },
    ]);
    const output = { type: "function_call_output", call_id: "c", output: "sun" };
    assert.deepEqual(storableInput({ input: [message("a"), output] }, newId), [
      message("a"),
      { ...output, id: "fco_2" },
    ]);
  });

  it("is listed in pages, the newest first", () => {
    const items = ["a", "b", "c"].map(message);
    const page = (query: object) => {
      const list = listItems(items, query) as {
        data: { id: string }[];
        first_id: string;
        last_id: string;
        has_more: boolean;
      };
      return [list.data.map(({ id }) => id).join(""), list.first_id, list.last_id, list.has_more];
    };
    assert.deepEqual(page({}), ["cba", "c", "a", false]);
    assert.deepEqual(page({ limit: "2" }), ["cb", "c", "b", true]);
    assert.deepEqual(page({ limit: "2", after: "b" }), ["a", "a", "a", false]);
    assert.deepEqual(page({ order: "asc", after: "a" }), ["bc", "b", "c", false]);
    assert.deepEqual(page({ after: "a" }), ["", null, null, false]);
    for (const [param, query] of Object.entries({
      limit: { limit: "0" },
      order: { order: "up" },
      after: { after: "x" },
    })) {
      assert.throws(() => listItems(items, query), { code: "invalid_request", param });
    }
  });
});

describe("responses: the final object", () => {
  const response = { id: "resp_1", object: "response", status: "completed", output: [] };

  it("is read from whole answers and from streams", () => {
    const last = { event: "response.completed", data: JSON.stringify({ type: "response.completed", response }) };
    const first = { event: "response.created", data: JSON.stringify({ type: "response.created", response }) };
    assert.deepEqual(collectResponse(Buffer.from(JSON.stringify(response))), response);
    assert.deepEqual(collectResponse([first, last]), response);
    assert.deepEqual(finalResponse({ data: last.data }), response);
    assert.equal(finalResponse(first), undefined);
    assert.equal(collectResponse([first]), undefined);
  });

  it("is not seen in what only looks like one", () => {
    const quoted = { type: "response.output_text.delta", delta: '"response.completed"', response };
    for (const data of [
      JSON.stringify(quoted),
      '{"type":"response.completed"',
      '{"type":"response.completed","response":{}}',
    ]) {
      assert.equal(finalResponse({ data }), undefined, data);
    }
    for (const body of ["", "7", "{}", '{"object":"response","id":""}']) {
      assert.equal(collectResponse(Buffer.from(body)), undefined, body);
    }
  });
});
