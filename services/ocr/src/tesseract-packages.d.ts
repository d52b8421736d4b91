/** What is used of Tesseract's WebAssembly build, which comes without types. */
declare module "tesseract.js-core/tesseract-core-simd-lstm.js" {
  interface TessBaseAPI {
    /** 0 when the data of every language was read. `engine` 1 is the neural one. */
    Init(path: null, languages: string, engine: 1): number;
    SetVariable(name: string, value: string): boolean;
    /** Reads `/input`; 0 when it is a picture. `orientation` as EXIF counts, `angle` in radians. */
    SetImageFile(orientation: number, angle: number): number;
    SetSourceResolution(dpi: number): void;
    /** 0 when it went well. */
    Recognize(monitor: null): number;
    GetJSONText(page: number): string;
    Clear(): void;
    End(): void;
  }
  export interface TesseractCore {
    readonly FS: { writeFile(path: string, data: Uint8Array): void; unlink(path: string): void };
    readonly TessBaseAPI: new () => TessBaseAPI;
  }
  export type { TessBaseAPI };

  function load(options: {
    print(line: string): void;
    printErr(line: string): void;
    TesseractProgress(percent: number): void;
  }): Promise<TesseractCore>;

  // biome-ignore lint/style/noDefaultExport: so the package does it
  export default load;
}

declare module "@tesseract.js-data/eng" {
  const data: { readonly code: string; readonly langPath: string };

  // biome-ignore lint/style/noDefaultExport: so the package does it
  export default data;
}
