import { type FakeBackendOptions, startFakeBackend } from "./fake-backend.ts";

// A fake backend in a process of its own, which a test can kill and freeze. Options come as JSON in FAKE_OPTIONS.

const backend = await startFakeBackend("nexus", JSON.parse(process.env.FAKE_OPTIONS ?? "{}") as FakeBackendOptions);
process.stdout.write(`${JSON.stringify({ url: backend.url })}\n`);
