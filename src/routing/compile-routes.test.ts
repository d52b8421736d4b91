import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileRoutes, findRoute } from "./compile-routes.ts";
import { routesConfigSchema } from "./config.ts";
import { SelectorError } from "./selector.ts";
import { timeoutsFor } from "./timeouts.ts";

const compile = (...models: readonly string[]) =>
  compileRoutes(routesConfigSchema.parse(models.map((model) => ({ model }))));

describe("the route for a model", () => {
  it("is the exact one, then the longest glob", () => {
    const routes = compile("*", "llama*", "llama3*", "llama3:8b");
    assert.equal(findRoute(routes, ["llama3:8b"])?.name, "llama3:8b");
    assert.equal(findRoute(routes, ["llama3:70b"])?.name, "llama3*");
    assert.equal(findRoute(routes, ["llama2"])?.name, "llama*");
    assert.equal(findRoute(routes, ["qwen"])?.name, "*");
    assert.equal(findRoute(compile("a*"), ["b"]), undefined);
  });

  it("is an exact one of any of its names before a glob, in the order of the names", () => {
    const routes = compile("fast*", "llama3", "gpt-4o");
    assert.equal(findRoute(routes, ["fast", "llama3"])?.name, "llama3");
    assert.equal(findRoute(routes, ["gpt-4o", "llama3"])?.name, "gpt-4o");
    assert.equal(findRoute(routes, ["fast", "qwen"])?.name, "fast*");
  });
});

describe("a route", () => {
  it("that can't be compiled names the expression's path", () => {
    const config = routesConfigSchema.parse([
      { model: "a" },
      { model: "b", candidates: [{ tier: 1 }, { service: "s" }] },
    ]);
    const broken = structuredClone(config);
    Object.assign(broken[1]?.candidates?.[1] ?? {}, { where: "host.zoen" });
    assert.throws(
      () => compileRoutes(broken),
      (error) =>
        error instanceof SelectorError && /^routes\[1\]\.candidates\[1\]\.where: unknown name/.test(error.message),
    );
  });

  const refused: readonly [string, unknown, (string | number)[], RegExp][] = [
    ["an expression", [{ model: "a", where: "host.zoen" }], [0, "where"], /did you mean 'host\.zone'/],
    ["a second one for a name", [{ model: "a" }, { model: "a" }], [1, "model"], /routes\[0\]/],
    [
      "a glob where one model must stand",
      [{ model: "a", candidates: [{ model: "b*" }] }],
      [0, "candidates", 0, "model"],
      /one model/,
    ],
    [
      "an operation that does not exist",
      [{ model: "a", timeouts: { operations: { "chat.completion.create": { stallMs: 1 } } } }],
      [0, "timeouts", "operations", "chat.completion.create"],
      /did you mean 'chat\.completions\.create'/,
    ],
    ["an unknown key", [{ model: "a", tier: 1 }], [0], /tier/],
    ["no weight at all", [{ model: "a", candidates: [{ weight: 0 }] }], [0, "candidates", 0, "weight"], /0\.001/],
  ];
  for (const [what, value, path, message] of refused) {
    it(`is refused for ${what}`, () => {
      const { error } = routesConfigSchema.safeParse(value);
      assert.deepEqual(
        error?.issues.map((issue) => issue.path),
        [path],
      );
      assert.match(error?.issues[0]?.message ?? "", message);
    });
  }
});

describe("deadlines", () => {
  const defaults = { connectMs: 1, firstTokenMs: 2, stallMs: 3 };
  const operation = "embeddings.create";

  it("are the operation's own where nobody says anything", () => {
    assert.deepEqual(timeoutsFor(operation, [undefined, {}], defaults), defaults);
  });

  it("come from the most specific layer, and within it from what is said for the operation", () => {
    const route = { stallMs: 30, operations: { [operation]: { firstTokenMs: 20 }, other: { connectMs: 10 } } };
    const gateway = {
      connectMs: 100,
      firstTokenMs: 200,
      operations: { [operation]: { connectMs: 101, stallMs: 301 } },
    };
    assert.deepEqual(timeoutsFor(operation, [route, gateway], defaults), {
      connectMs: 101,
      firstTokenMs: 20,
      stallMs: 30,
    });
    assert.deepEqual(timeoutsFor("x", [route, gateway], defaults), { connectMs: 100, firstTokenMs: 200, stallMs: 30 });
  });
});
