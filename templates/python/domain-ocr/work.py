"""The work: an example, to be replaced by yours."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain import OcrRequest


def work(asked: OcrRequest) -> list[dict[str, str]]:
    """Says what kind of document it is, and how large."""
    document, size = asked.document, f"{len(asked.document)} bytes"
    if document.startswith(b"\x89PNG\r\n\x1a\n") and len(document) >= 24:
        width, height = struct.unpack(">II", document[16:24])
        size = f"{width} by {height} pixels"
    return [{"markdown": f"A document of type {asked.type}: {size}."}]
