"""The work: an example, to be replaced by yours."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from refusal import Refused

if TYPE_CHECKING:
    from domain import OcrRequest


def work(asked: OcrRequest) -> list[dict[str, str]]:
    """Says how large each page is, and nothing of what stands on it."""
    if asked.document.startswith(b"\x89PNG\r\n\x1a\n") and len(asked.document) >= 24:
        width, height = struct.unpack(">II", asked.document[16:24])
        return [{"markdown": f"A picture of {width} by {height} pixels."}]
    if asked.document.startswith(b"%PDF-"):
        pages = len(re.findall(rb"/Type\s*/Page\b", asked.document)) or 1
        return [{"markdown": f"Page {number} of {pages}."} for number in range(1, pages + 1)]
    raise Refused("This example looks at PNG and PDF only.")
