import type { Conversion, ConversionResult } from "./convert-file.ts";

/** Read only by those who need them. */
const converters: Readonly<Record<Conversion["kind"], () => Promise<(from: string, to: string) => Promise<void>>>> = {
  e5: async () => (await import("./e5-to-gguf.ts")).convertE5ToGguf,
  whisper: async () => (await import("./whisper-to-ggml.ts")).convertWhisperToGgml,
};

async function run({ kind, from, to }: Conversion): Promise<ConversionResult> {
  try {
    const convert = await converters[kind]();
    await convert(from, to);
    return { isDone: true };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { isDone: false, message, code };
  }
}

/** One conversion, then the end; also when the process that wanted it is gone. */
function serve(): void {
  process.once("disconnect", () => process.exit());
  process.once("message", async (conversion: Conversion) => {
    const result = await run(conversion);
    process.send?.(result, () => process.disconnect());
  });
}

if (import.meta.main) serve();
