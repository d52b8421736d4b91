export * from "./clock.ts";
export * from "./error-body.ts";
export * from "./errors.ts";
export * from "./find-program.ts";
export * from "./ids.ts";
export * from "./logger.ts";
export * from "./write-file-atomic.ts";
