"""Embeddings: what goes into the work, and how its vectors are answered."""

from __future__ import annotations

import base64
import math
import struct
from dataclasses import dataclass
from typing import Any

from nexus_kit import Answer, Handler, Operation, Request
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, bad_result, call, count_words, read_texts, read_word

DOMAIN = "embedding"
MODALITIES = {"input": ["text"], "output": ["vector"]}
EMBED = OPERATIONS["embeddings.create"]
#: What a program prints.
PRINTS = "json"


@dataclass(frozen=True, kw_only=True)
class EmbeddingRequest(Asked):
    """The result is a list with a vector for each text, all of one length."""

    texts: list[str]


def handlers(work: Work) -> dict[Operation, Handler]:
    async def embed(request: Request) -> Answer:
        body = request.body
        texts = read_texts(body, "input")
        encoding = read_word(body, "encoding_format", ("float", "base64"))
        asked = EmbeddingRequest(model=body["model"], body=body, texts=texts)
        vectors = checked(await call(work, asked), len(texts))
        tokens = count_words(*texts)
        data = [
            {"object": "embedding", "index": index, "embedding": vector if encoding == "float" else packed(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": body["model"], "data": data, "usage": usage}

    return {EMBED: embed}


def packed(vector: list[float]) -> str:
    """Base64 of 32-bit floats, lowest byte first."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def checked(result: Any, count: int) -> list[list[float]]:
    if not isinstance(result, list) or len(result) != count:
        raise bad_result(f"a list of {count} vectors")
    lengths = {len(vector) if isinstance(vector, list) else 0 for vector in result}
    if len(lengths) != 1 or lengths == {0}:
        raise bad_result("vectors of one length")
    if not all(isinstance(one, (int, float)) and math.isfinite(one) for vector in result for one in vector):
        raise bad_result("vectors of numbers")
    return result
