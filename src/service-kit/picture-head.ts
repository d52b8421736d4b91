/** What the beginning of a picture's file says of it, before anything is unpacked. */
export interface PictureHead {
  readonly type: "png" | "jpeg" | "webp" | "bmp";
  /** In pixels, as they are stored. */
  readonly width: number;
  readonly height: number;
  /** How the picture is to be turned, as EXIF counts: 1 is upright, 5 to 8 swap width and height. */
  readonly orientation: number;
}

/** Undefined for what is none of the four, or is cut off before it says its size. */
export function readPictureHead(bytes: Uint8Array): PictureHead | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const found = readPng(view) ?? readJpeg(view) ?? readWebp(view) ?? readBmp(view);
    return found !== undefined && found.width > 0 && found.height > 0 ? found : undefined;
  } catch (error) {
    // A field beyond the end of the file.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const upright = 1;

function textAt(view: DataView, at: number, length: number): string {
  return Buffer.from(view.buffer, view.byteOffset + at, Math.min(length, view.byteLength - at)).toString("latin1");
}

function readPng(view: DataView): PictureHead | undefined {
  if (textAt(view, 0, 8) !== "\x89PNG\r\n\x1a\n" || textAt(view, 12, 4) !== "IHDR") return undefined;
  return { type: "png", width: view.getUint32(16), height: view.getUint32(20), orientation: upright };
}

function readBmp(view: DataView): PictureHead | undefined {
  if (textAt(view, 0, 2) !== "BM") return undefined;
  // A negative height says that the first row is the top one.
  const height = Math.abs(view.getInt32(22, true));
  return { type: "bmp", width: view.getInt32(18, true), height, orientation: upright };
}

function readWebp(view: DataView): PictureHead | undefined {
  if (textAt(view, 0, 4) !== "RIFF" || textAt(view, 8, 4) !== "WEBP") return undefined;
  const uint24 = (at: number) => view.getUint16(at, true) + view.getUint8(at + 2) * 0x1_0000;
  const sized = (width: number, height: number): PictureHead => ({ type: "webp", width, height, orientation: upright });
  switch (textAt(view, 12, 4)) {
    case "VP8 ":
      return sized(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
    case "VP8L": {
      const bits = view.getUint32(21, true);
      return sized((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
    }
    case "VP8X":
      return sized(uint24(24) + 1, uint24(27) + 1);
    default:
      return undefined;
  }
}

/** Markers that begin a frame; the others between them are tables. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

function readJpeg(view: DataView): PictureHead | undefined {
  if (view.getUint16(0) !== 0xffd8) return undefined;
  let orientation = upright;
  for (let at = 2; view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (isFrame(marker)) {
      return { type: "jpeg", width: view.getUint16(at + 7), height: view.getUint16(at + 5), orientation };
    }
    if (marker === 0xe1 && textAt(view, at + 4, 6) === "Exif\0\0") orientation = readOrientation(view, at + 10);
    at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}

const orientationTag = 0x0112;

/** The orientation in the first directory of EXIF's TIFF; upright when there is none that makes sense. */
function readOrientation(view: DataView, start: number): number {
  const isLittle = textAt(view, start, 2) === "II";
  const directory = start + view.getUint32(start + 4, isLittle);
  const entries = view.getUint16(directory, isLittle);
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + entry * 12;
    if (view.getUint16(at, isLittle) !== orientationTag) continue;
    const value = view.getUint16(at + 8, isLittle);
    return value >= 1 && value <= 8 ? value : upright;
  }
  return upright;
}
