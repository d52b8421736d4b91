"""Reading of documents: what goes into the work, and how its pages are answered."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from nexus_kit import Answer, Handler, Operation, Request, invalid
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, bad_result, call

DOMAIN = "ocr"
MODALITIES = {"input": ["image"], "output": ["text"]}
READ = OPERATIONS["ocr"]
#: What a program prints.
PRINTS = "json"


@dataclass(frozen=True, kw_only=True)
class OcrRequest(Asked):
    """The result is a list of pages, each `{"markdown": "..."}`."""

    #: A picture or a PDF.
    document: bytes
    #: Its media type, as the client says it.
    type: str


def handlers(work: Work) -> dict[Operation, Handler]:
    async def read(request: Request) -> Answer:
        body = request.body
        document, kind = read_document(body.get("document"))
        asked = OcrRequest(model=body["model"], body=body, document=document, type=kind)
        pages = await call(work, asked)
        if not isinstance(pages, list) or not pages or not all(is_page(page) for page in pages):
            raise bad_result('a list of pages as {"markdown": "..."}')
        shown = [
            {"index": index, "markdown": page["markdown"], "images": [], "dimensions": None}
            for index, page in enumerate(pages)
        ]
        usage = {"pages_processed": len(pages), "doc_size_bytes": len(document)}
        return {"model": body["model"], "pages": shown, "usage_info": usage}

    return {READ: read}


def is_page(page: Any) -> bool:
    return isinstance(page, dict) and isinstance(page.get("markdown"), str)


def read_document(value: Any) -> tuple[bytes, str]:
    """Links are not followed: they would let clients look into the service's network."""
    url = (value.get("image_url") or value.get("document_url")) if isinstance(value, dict) else None
    url = url.get("url") if isinstance(url, dict) else url
    match = re.match(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", url) if isinstance(url, str) else None
    if isinstance(url, str) and match is not None:
        try:
            document = base64.b64decode(url[match.end() :], validate=True)
        except (binascii.Error, ValueError):
            document = b""
        if document:
            return document, match[1]
    raise invalid("document", "must bring its bytes, as a data: URL in base64")
