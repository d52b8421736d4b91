"""How the work of a service is called: what goes in, what comes out, and how fields of requests are read."""

from __future__ import annotations

import asyncio
import inspect
import math
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from nexus_kit import Json, ServiceError, closing, invalid
from refusal import Refused

T = TypeVar("T")

#: A function of one argument. Written with `async def` it is awaited; a plain one, which may take its time, runs in a
#: thread. Results that come in pieces are generators of either kind.
Work: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What every request of a work function has."""

    model: str
    #: The request as it came: for fields that are not taken out of it.
    body: Json
    #: Set when the client has left, or the service must end. A plain function that takes long looks at it now and then:
    #: a thread cannot be stopped from outside.
    cancelled: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)


async def call(work: Work, asked: Asked) -> Any:
    """The result of the work, or an asynchronous iterator of its pieces. Ends the work with the task that waits."""
    if inspect.iscoroutinefunction(work):
        result = await _refusing(work(asked))
    elif inspect.isasyncgenfunction(work):
        result = work(asked)
    else:
        result = await _refusing(_in_thread(asked.cancelled, lambda: work(asked)))
    if isinstance(result, Iterator):
        return _pieces(asked.cancelled, result)
    return _async_pieces(result) if isinstance(result, AsyncIterator) else result


async def _refusing(result: Awaitable[T]) -> T:
    try:
        return await result
    except Refused as refused:
        raise ServiceError("invalid_request", str(refused)) from None


async def _in_thread(cancelled: threading.Event, work: Callable[[], T]) -> T:
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait({running})  # The slot is free when the work has ended, not before.
        raise


async def _pieces(cancelled: threading.Event, items: Iterator[T]) -> AsyncIterator[T]:
    end: Any = object()
    try:
        while (item := await _refusing(_in_thread(cancelled, lambda: next(items, end)))) is not end:
            yield item
    finally:
        cancelled.set()
        if inspect.isgenerator(items):
            items.close()


async def _async_pieces(items: AsyncIterator[T]) -> AsyncIterator[T]:
    end: Any = object()
    async with closing(items):
        while (item := await _refusing(anext(items, end))) is not end:
            yield item


def bad_result(must: str) -> ServiceError:
    """What the work gave is not what its domain asks for: a defect of it, not of the request."""
    return ServiceError("backend_error", "The service gave no valid answer.", note=f"the result must be {must}")


# --- Fields of requests ----------------------------------------------------------------------------------------------


def read_text(fields: Json, name: str) -> str:
    """A text with something in it."""
    value = fields.get(name)
    if not isinstance(value, str) or value == "":
        raise invalid(name, "must be a text that is not empty")
    return value


def read_texts(fields: Json, name: str) -> list[str]:
    """A text, or a list of at least one."""
    value = fields.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise invalid(name, "must be a text or a list of texts")
    return texts


def read_number(fields: Json, name: str, low: float, high: float, default: float) -> float:
    """A number within bounds, written as text in a form."""
    given = fields.get(name)
    value = default if given is None else given
    if isinstance(value, str):
        value = float(value) if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII) else math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise invalid(name, f"must be a number from {low:g} to {high:g}")
    return value


def read_whole(fields: Json, name: str, low: int, high: int, default: int) -> int:
    value = read_number(fields, name, low, high, default)
    if value != int(value):
        raise invalid(name, f"must be a whole number from {low} to {high}")
    return int(value)


def read_word(fields: Json, name: str, words: Sequence[str]) -> str:
    """One of a few words; the first when it is left out."""
    value = fields.get(name)
    if value is None:
        return words[0]
    if value not in words:
        raise invalid(name, f"must be one of {', '.join(words)}")
    return str(value)


def read_size(fields: Json) -> tuple[int, int]:
    """`640x480`; 512 by 512 for `auto` or when it is left out."""
    size = fields.get("size")
    if size in (None, "auto"):
        return 512, 512
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", size, re.ASCII) if isinstance(size, str) else None
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (16 <= width <= 4096 and 16 <= height <= 4096):
        raise invalid("size", "must be as 640x480, each side from 16 to 4096")
    return width, height


def count_words(*texts: str) -> int:
    """About as many tokens as models make of them. Never 0 for a text with something in it."""
    return sum(len(text.split()) or int(text != "") for text in texts)


# --- Media -----------------------------------------------------------------------------------------------------------

_BEGINNINGS = {
    "audio/wav": rb"RIFF....WAVE",
    "audio/mpeg": rb"ID3|\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]",
    "audio/ogg": rb"OggS",
    "audio/flac": rb"fLaC",
    "audio/aac": rb"\xff[\xf0\xf1\xf8\xf9]",
    "video/mp4": rb"....ftyp",
    "image/png": rb"\x89PNG\r\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/webp": rb"RIFF....WEBP",
}


def media_type_of(content: bytes) -> str | None:
    """The media type that bytes begin like: what they are, whatever they were asked to be."""
    for kind, beginning in _BEGINNINGS.items():
        if re.match(beginning, content[:12], re.DOTALL):
            return kind
    return None


async def begin(result: Any) -> tuple[str | None, AsyncIterator[bytes]]:
    """Waits for the first piece of a medium, which tells what it is."""
    pieces = result if hasattr(result, "__anext__") else _once(result)
    first = await anext(pieces, b"")
    if not isinstance(first, bytes) or first == b"":
        raise bad_result("bytes")
    return media_type_of(first), _continued(first, pieces)


async def _once(content: Any) -> AsyncIterator[Any]:
    yield content


async def _continued(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with closing(rest):
        yield first
        async for piece in rest:
            yield piece
