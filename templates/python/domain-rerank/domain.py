"""Ranking: what goes into the work, and how its scores are answered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nexus_kit import Answer, Handler, Json, Operation, Request, invalid
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, bad_result, call, count_words, read_text, read_whole

DOMAIN = "rerank"
MODALITIES = {"input": ["text"], "output": ["text"]}
RERANK = OPERATIONS["rerank"]
#: What a program prints.
PRINTS = "json"


@dataclass(frozen=True, kw_only=True)
class RerankRequest(Asked):
    """The result is a list with a score for each document; more is better."""

    query: str
    documents: list[str]


def handlers(work: Work) -> dict[Operation, Handler]:
    async def rerank(request: Request) -> Answer:
        body = request.body
        query, documents = read_text(body, "query"), read_documents(body.get("documents"))
        top = read_whole(body, "top_n", 1, 100_000, len(documents))
        asked = RerankRequest(model=body["model"], body=body, query=query, documents=documents)
        scores = checked(await call(work, asked), len(documents))
        ranked = sorted(enumerate(scores), key=lambda one: -one[1])[:top]
        results: list[Json] = [{"index": index, "relevance_score": score} for index, score in ranked]
        if body.get("return_documents") is True:
            results = [{**result, "document": {"text": documents[result["index"]]}} for result in results]
        tokens = count_words(query, *documents)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"id": f"rerank-{request.request_id}", "model": body["model"], "results": results, "usage": usage}

    return {RERANK: rerank}


def read_documents(value: Any) -> list[str]:
    given = value if isinstance(value, list) else []
    texts: list[Any] = [one.get("text") if isinstance(one, dict) else one for one in given]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise invalid("documents", "must be a list of texts")
    return texts


def checked(result: Any, count: int) -> list[float]:
    if not isinstance(result, list) or len(result) != count:
        raise bad_result(f"a list of {count} scores")
    if not all(isinstance(score, (int, float)) and math.isfinite(score) for score in result):
        raise bad_result("scores that are numbers")
    return result
