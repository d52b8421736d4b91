"""Films of plain grey pictures: H.264 without any compression (ITU-T H.264, 7.3 and 9.1) in MP4 (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct

#: Pictures are made of squares with sides of so many pixels.
SQUARE = 16
UNCOMPRESSED = 25
LEVEL = 51


class Bits:
    """Bits one after the other."""

    def __init__(self, first: int) -> None:
        self._text = f"{first:08b}"

    def plain(self, value: int, width: int) -> Bits:
        self._text += f"{value:0{width}b}"
        return self

    def numbers(self, *values: int) -> Bits:
        """Of any size, small ones in few bits."""
        for value in values:
            bits = f"{value + 1:b}"
            self._text += "0" * (len(bits) - 1) + bits
        return self

    def aligned(self) -> bytes:
        text = self._text.ljust(-(-len(self._text) // 8) * 8, "0")
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))

    def ended(self) -> bytes:
        return self.plain(1, 1).aligned()


def frame(columns: int, rows: int, shade: int) -> bytes:
    """A picture in one shade of grey, 16 to 235."""
    head = Bits(0x65).numbers(0, 7, 0).plain(0, 4).numbers(0).plain(0, 2).numbers(0, UNCOMPRESSED).aligned()
    between = Bits(0).numbers(UNCOMPRESSED).aligned()[1:]
    square = bytes([shade]) * 256 + b"\x80" * 128
    return head + between.join([square] * (columns * rows)) + b"\x80"


def box(name: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", 8 + len(data)) + name + data


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def film(frames: list[bytes], columns: int, rows: int, frames_a_second: int) -> bytes:
    """Frames of one size, one after the other."""
    samples = [words(len(one)) + one for one in frames]
    kind = box(b"ftyp", b"isom", words(512), b"isomavc1")
    unmoved = words(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    count = len(samples)
    head = box(
        b"mvhd", words(0, 0, 0, frames_a_second, count, 0x10000, 0x01000000, 0, 0), unmoved, words(0, 0, 0, 0, 0, 0, 2)
    )
    size = words(columns * SQUARE << 16, rows * SQUARE << 16)
    track = box(b"tkhd", words(3, 0, 0, 1, 0, count, 0, 0, 0, 0), unmoved, size)
    place = box(b"dinf", box(b"dref", words(0, 1), box(b"url ", words(1))))
    table = sample_table(samples, columns, rows, len(kind) + 8)
    media = box(
        b"mdia",
        box(b"mdhd", words(0, 0, 0, frames_a_second, count, 0x55C40000)),
        box(b"hdlr", words(0, 0), b"vide", words(0, 0, 0), b"\0"),
        box(b"minf", box(b"vmhd", words(1, 0, 0)), place, table),
    )
    return kind + box(b"mdat", *samples) + box(b"moov", head, box(b"trak", track, media))


def sample_table(samples: list[bytes], columns: int, rows: int, begin: int) -> bytes:
    sequence = Bits(0x67).plain(66, 8).plain(0xC0, 8).plain(LEVEL, 8).numbers(0, 0, 2, 0).plain(0, 1)
    sequence_set = sequence.numbers(columns - 1, rows - 1).plain(0b1100, 4).ended()
    picture = Bits(0x68).numbers(0, 0).plain(0, 2).numbers(0, 0, 0).plain(0, 3).numbers(0, 0, 0).plain(0, 3)
    picture_set = picture.ended()
    sets = struct.pack(">H", len(sequence_set)) + sequence_set + struct.pack(">BH", 1, len(picture_set)) + picture_set
    configuration = box(b"avcC", bytes([1, 66, 0xC0, LEVEL, 0xFF, 0xE1]), sets)
    shape = struct.pack(">HHIIIH", columns * SQUARE, rows * SQUARE, 0x480000, 0x480000, 0, 1) + bytes(32)
    entry = box(b"avc1", words(0, 1, 0, 0, 0, 0), shape, struct.pack(">HH", 24, 0xFFFF), configuration)
    return box(
        b"stbl",
        box(b"stsd", words(0, 1), entry),
        box(b"stts", words(0, 1, len(samples), 1)),
        box(b"stsc", words(0, 1, 1, len(samples), 1)),
        box(b"stsz", words(0, 0, len(samples), *(len(one) for one in samples))),
        box(b"stco", words(0, 1, begin)),
    )
