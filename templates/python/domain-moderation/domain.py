"""Moderation: what goes into the work, and how its scores are answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nexus_kit import Answer, Handler, Json, Operation, Request, invalid
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, bad_result, call, read_texts

DOMAIN = "moderation"
MODALITIES = {"input": ["text"], "output": ["text"]}
JUDGE = OPERATIONS["moderations.create"]
#: What a program prints.
PRINTS = "json"
FLAGGED_FROM = 0.5


@dataclass(frozen=True, kw_only=True)
class ModerationRequest(Asked):
    """The result is a list with, for each text, its score of 0 to 1 by category; from 0.5 on it is flagged."""

    texts: list[str]


def handlers(work: Work) -> dict[Operation, Handler]:
    async def judge(request: Request) -> Answer:
        body = request.body
        texts = read_judged(body)
        scores = await call(work, ModerationRequest(model=body["model"], body=body, texts=texts))
        if not isinstance(scores, list) or len(scores) != len(texts) or not all(is_scored(one) for one in scores):
            raise bad_result(f"a list of {len(texts)} objects with scores from 0 to 1")
        results = [judgement(one) for one in scores]
        return {"id": f"modr-{request.request_id}", "model": body["model"], "results": results}

    return {JUDGE: judge}


def judgement(scores: dict[str, float]) -> Json:
    flags = {category: score >= FLAGGED_FROM for category, score in scores.items()}
    return {"flagged": any(flags.values()), "categories": flags, "category_scores": scores}


def read_judged(body: Json) -> list[str]:
    """A text, several texts, or the parts of one. Pictures are refused rather than passed unseen."""
    parts = body.get("input")
    if not isinstance(parts, list) or not any(isinstance(part, dict) for part in parts):
        return read_texts(body, "input")
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise invalid("input", "must be text: pictures are not judged here")
    return ["\n".join(str(text) for text in texts)]


def is_scored(scores: Any) -> bool:
    return isinstance(scores, dict) and all(
        isinstance(score, (int, float)) and 0 <= score <= 1 for score in scores.values()
    )
