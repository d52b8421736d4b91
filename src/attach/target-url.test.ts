import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { NexusError } from "../base/errors.ts";
import { nameSchema } from "../contract/metadata.ts";
import { hostOf, nameFor, normaliseTarget, serverIdentity } from "./target-url.ts";

describe("normaliseTarget", () => {
  it("makes a base URL of what people paste", () => {
    const pasted = {
      "http://127.0.0.1:11434": "http://127.0.0.1:11434",
      " http://127.0.0.1:11434/ ": "http://127.0.0.1:11434",
      "http://box:8000/v1": "http://box:8000",
      "http://box:8000/v1/": "http://box:8000",
      "http://box:8000//": "http://box:8000",
      "http://box:8000/v1/chat/completions": "http://box:8000",
      "http://BOX:80/v1/models": "http://box",
      "https://api.groq.com/openai/v1": "https://api.groq.com/openai",
      "https://example.com/v1beta": "https://example.com/v1beta",
      "http://[::1]:1234/v1": "http://[::1]:1234",
    };
    for (const [text, url] of Object.entries(pasted)) assert.equal(normaliseTarget(text), url, text);
  });

  it("refuses what is no place for a model server, and repeats no credentials", () => {
    const refused = [
      "",
      "127.0.0.1:11434",
      "ftp://box/",
      "file:///etc/passwd",
      "unix:/run/x.sock",
      "http://user:sk-secret@box:1",
      "http://sk-secret@box:1",
      "http://box:1/?key=sk-secret",
      "http://box:1/#x",
      "http://0.0.0.0:11434",
      "http://[::]:1",
      "http://169.254.169.254/latest/meta-data",
      "http://2852039166/",
      "http://0xa9fea9fe/",
      "http://[::ffff:169.254.169.254]/",
      "http://[fe80::1]:80/",
      "http://224.0.0.1/",
    ];
    for (const text of refused) {
      assert.throws(
        () => normaliseTarget(text),
        (error: unknown) =>
          error instanceof NexusError && error.code === "invalid_request" && !error.message.includes("sk-secret"),
        text,
      );
    }
  });

  it("changes nothing the second time", () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: false, withFragments: false }), (text) => {
        const once = normaliseTarget(text);
        assert.equal(normaliseTarget(once), once);
        assert.ok(!once.endsWith("/"));
      }),
      { numRuns: 300 },
    );
  });
});

describe("the names of servers", () => {
  it("know this machine under all its names", () => {
    const urls = ["http://127.0.0.1:1234", "http://localhost:1234", "http://[::1]:1234", "http://127.0.0.9:1234"];
    assert.equal(new Set(urls.map(serverIdentity)).size, 1);
    assert.notEqual(serverIdentity("http://127.0.0.1:1234"), serverIdentity("http://127.0.0.1:1235"));
    assert.notEqual(serverIdentity("http://a:1/x"), serverIdentity("http://a:1/y"));
    assert.equal(serverIdentity("http://a"), serverIdentity("http://a:80"));
    assert.equal(hostOf("http://localhost:1", "desk"), "desk");
    assert.equal(hostOf("http://192.168.1.7:1", "desk"), "192.168.1.7");
  });

  it("are names of the contract, whatever the URL", () => {
    assert.equal(nameFor("ollama", "http://127.0.0.1:11434"), "ollama-11434");
    assert.equal(nameFor("vllm", "http://gpu-box:8000"), "vllm-gpu-box-8000");
    assert.equal(nameFor("openai-compatible", "https://api.openai.com"), "openai-compatible-api.openai.com");
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.constant("http://[2001:db8::1]:80")), (url) => {
        assert.ok(nameSchema.safeParse(nameFor("ollama", url)).success);
        assert.ok(nameSchema.safeParse(hostOf(url, "desk")).success);
      }),
      { numRuns: 300 },
    );
  });
});
