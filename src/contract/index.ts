export * from "./conformance/run-conformance.ts";
export * from "./health.ts";
export * from "./instance-record.ts";
export * from "./metadata.ts";
export * from "./operations.ts";
export * from "./parse.ts";
