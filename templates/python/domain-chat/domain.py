"""Chats: what goes into the work, and how what it says is answered."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from nexus_kit import Answer, Events, Handler, Json, Operation, Request, closing, invalid
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, bad_result, call, count_words, read_whole

DOMAIN = "chat"
MODALITIES = {"input": ["text"], "output": ["text"]}
CHAT = OPERATIONS["chat.completions.create"]
#: What a program prints.
PRINTS = "text"
#: More than any answer that somebody waits for.
TOKENS_MAX = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ChatRequest(Asked):
    """The result is text, best in pieces as it is made."""

    #: Each with `role` and `content`. Parts that are no text are left out.
    messages: list[dict[str, str]]


@dataclass
class Said:
    prompt: int
    tokens: int = 0
    finish: str = "stop"

    def usage(self) -> Json:
        total = self.prompt + self.tokens
        return {"prompt_tokens": self.prompt, "completion_tokens": self.tokens, "total_tokens": total}


def handlers(work: Work) -> dict[Operation, Handler]:
    """Words are counted as tokens: `max_tokens` is held by cutting, and `usage` counts them."""

    async def chat(request: Request) -> Answer:
        body = request.body
        messages = read_messages(body.get("messages"))
        said = Said(max(1, count_words(*(message["content"] for message in messages))))
        limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
        words_max = read_whole(body, limit, 0, TOKENS_MAX, TOKENS_MAX)
        asked = ChatRequest(model=body["model"], body=body, messages=messages)
        pieces = cut(await call(work, asked), words_max, said)
        head = {"id": f"chatcmpl-{request.request_id}", "created": int(time.time()), "model": body["model"]}
        if body.get("stream") is True:
            return Events(chunks(head, pieces, said, body.get("stream_options")))
        async with closing(pieces):
            content = "".join([piece async for piece in pieces])
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": said.finish, "logprobs": None}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": said.usage()}

    return {CHAT: chat}


async def chunks(head: Json, pieces: AsyncIterator[str], said: Said, options: Any) -> AsyncIterator[Json]:
    head = {**head, "object": "chat.completion.chunk"}

    def chunk(delta: Json, finish: str | None = None) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    delta = {"role": "assistant"}
    async with closing(pieces):
        async for piece in pieces:
            yield chunk({**delta, "content": piece})
            delta = {}
    yield chunk(delta, said.finish)
    if isinstance(options, dict) and options.get("include_usage") is True:
        yield {**head, "choices": [], "usage": said.usage()}


async def cut(result: Any, words_max: int, said: Said) -> AsyncIterator[str]:
    """Passes text on until it has so many words, and ends its making then."""
    pieces = once(result) if isinstance(result, str) else result
    if not isinstance(pieces, AsyncIterator):
        raise bad_result("text")
    async with closing(pieces):
        async for piece in pieces:
            if not isinstance(piece, str):
                raise bad_result("text")
            words = count_words(piece)
            if said.tokens + words < words_max:
                said.tokens += words
                yield piece
                continue
            match = re.match(rf"(?:\s*\S+){{0,{words_max - said.tokens}}}", piece)
            said.tokens, said.finish = words_max, "length"
            yield match[0] if match else ""
            return


async def once(text: str) -> AsyncIterator[str]:
    yield text


def read_messages(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise invalid("messages", "must be a list of messages")
    messages = []
    for index, message in enumerate(value):
        at = f"messages[{index}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid(at, "must be a message with a `role`")
        messages.append({"role": message["role"], "content": read_content(message.get("content"), f"{at}.content")})
    return messages


def read_content(content: Any, param: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise invalid(param, "must be a text or a list of parts")
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
