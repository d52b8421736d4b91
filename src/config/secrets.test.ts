import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { NexusError } from "../base/errors.ts";
import { createSecretResolver } from "./secrets.ts";

const directory = mkdtempSync(join(tmpdir(), "nexus-secrets-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const secret = "sk-live-0123456789";
const path = (name: string) => join(directory, name);

/** What the resolver says to a reference that it cannot resolve. */
async function complaint(reference: string, environment: Record<string, string> = {}): Promise<string> {
  const error: unknown = await createSecretResolver(environment)(reference).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof NexusError, `${reference} was resolved`);
  assert.equal(error.code, "invalid_request");
  for (const text of [error.message, error.detail ?? "", String(error.cause ?? "")]) {
    assert.ok(!text.includes("sk-live") && !text.includes("second line"), text);
  }
  return error.message;
}

describe("createSecretResolver", () => {
  it("reads variables and files, without the space around", async () => {
    writeFileSync(path("key"), `  ${secret}\n`);
    symlinkSync(path("key"), path("link"));
    const resolve = createSecretResolver({ KEY: ` ${secret} ` });
    assert.equal(await resolve("env:KEY"), secret);
    assert.equal(await resolve(`file:${path("key")}`), secret);
    assert.equal(await resolve(`file:${path("link")}`), secret, "as mounted secrets are links");
  });

  it("follows a file that is rotated", async () => {
    const resolve = createSecretResolver({});
    writeFileSync(path("rotated"), "one-1");
    assert.equal(await resolve(`file:${path("rotated")}`), "one-1");
    assert.equal(await resolve(`file:${path("rotated")}`), "one-1");
    writeFileSync(path("rotated"), "two-2");
    utimesSync(path("rotated"), new Date(), new Date(Date.now() + 5_000));
    assert.equal(await resolve(`file:${path("rotated")}`), "two-2");
    rmSync(path("rotated"));
    await assert.rejects(resolve(`file:${path("rotated")}`), /cannot be read \(ENOENT\)/);
  });

  it("says what is wrong and never what it read", async () => {
    writeFileSync(path("empty"), "\n");
    writeFileSync(path("two-lines"), `${secret}\nsecond line\n`);
    writeFileSync(path("huge"), "sk-live".repeat(10_000));
    assert.match(await complaint("env:MISSING"), /^env:MISSING is not set or empty/);
    assert.match(await complaint("env:KEY", { KEY: `${secret}\r\nx-evil: 1` }), /one key on one line/);
    assert.match(await complaint(`file:${path("absent")}`), /ENOENT/);
    assert.match(await complaint(`file:${path("empty")}`), /is empty/);
    assert.match(await complaint(`file:${path("two-lines")}`), /one key on one line/);
    assert.match(await complaint(`file:${path("huge")}`), /larger than a key/);
    assert.match(await complaint(`file:${directory}`), /no regular file/);
    assert.match(await complaint("file:/dev/zero"), /no regular file/);
    for (const reference of ["file:relative/path", secret, "", "env:", "env:A-B", `http://${secret}@host`]) {
      assert.match(await complaint(reference), /by reference/);
    }
  });
});
