"""The work: an example, to be replaced by yours."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain import ImageRequest


def work(asked: ImageRequest) -> bytes:
    """Paints a sky whose colours come from the words of the prompt, as PNG."""
    top, bottom = colour_of(asked.prompt), colour_of(asked.prompt[::-1])
    rows = []
    for y in range(asked.height):
        share = y / asked.height
        pixel = bytes(round(one + (other - one) * share) for one, other in zip(top, bottom, strict=True))
        rows.append(b"\0" + pixel * asked.width)
    return png(asked.width, asked.height, b"".join(rows))


def colour_of(text: str) -> bytes:
    return struct.pack(">I", zlib.crc32(text.encode("utf-8", "replace")))[1:]


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
