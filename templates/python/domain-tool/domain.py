"""A tool: what goes into the work, and how its result is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nexus_kit import Answer, Handler, Json, Operation, Request, invalid
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, call

DOMAIN = "tool"
MODALITIES = {"input": ["text"], "output": ["text"]}
CALL = OPERATIONS["tools.call"]
#: What a program prints: JSON, or else text.
PRINTS = "any"


@dataclass(frozen=True, kw_only=True)
class ToolRequest(Asked):
    """The result is text, or anything that JSON can say."""

    arguments: Json


def handlers(work: Work) -> dict[Operation, Handler]:
    """Results as the Model Context Protocol writes them."""

    async def answer(request: Request) -> Answer:
        body = request.body
        arguments = body.get("arguments", {})
        if not isinstance(arguments, dict):
            raise invalid("arguments", "must be an object")
        result = await call(work, ToolRequest(model=body["model"], body=body, arguments=arguments))
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        structured = {"structuredContent": result} if isinstance(result, dict) else {}
        return {"content": [{"type": "text", "text": text}], **structured, "isError": False}

    return {CALL: answer}
