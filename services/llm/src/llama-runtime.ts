import type { Logger } from "nexus/base";
import { getLlama, type Llama, LlamaLogLevel } from "node-llama-cpp";

/**
 * Starts llama.cpp on the CPU from its prebuilt binary: nothing is compiled or downloaded. `threads` bounds all models
 * together.
 */
export async function startLlama(threads: number, log: Logger): Promise<Llama> {
  return await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: threads,
    logLevel: LlamaLogLevel.warn,
    logger(level, message) {
      const fields = { backend: "llama.cpp" };
      if (level === LlamaLogLevel.error || level === LlamaLogLevel.fatal) log.error(fields, message.trim());
      else log.debug(fields, message.trim());
    },
  });
}
