import assert from "node:assert/strict";
import { test } from "node:test";
import { isForbiddenAddress } from "./forbidden-address.ts";

test("link-local, metadata and multicast addresses are forbidden in every spelling", () => {
  const forbidden = [
    "169.254.169.254",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "[::ffff:a9fe:a9fe]",
    "fe80::1",
    "[fe80::1]",
    "fd00:ec2::254",
    "100.100.100.200",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "255.255.255.255",
    "ff02::1",
  ];
  for (const address of forbidden) assert.equal(isForbiddenAddress(address), true, address);
});

test("addresses where model servers live are not", () => {
  const allowed = [
    "127.0.0.1",
    "::1",
    "[::1]",
    "10.0.0.7",
    "192.168.1.20",
    "100.64.0.9",
    "fd00::5",
    "8.8.8.8",
    "box.lan",
  ];
  for (const address of allowed) assert.equal(isForbiddenAddress(address), false, address);
});
