"""The work: an example, to be replaced by yours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refusal import Refused

if TYPE_CHECKING:
    from domain import ToolRequest


def work(asked: ToolRequest) -> dict[str, int]:
    """Counts the words of `text`."""
    text = asked.arguments.get("text")
    if not isinstance(text, str):
        raise Refused("Give the argument `text`, a text.")
    return {"words": len(text.split()), "characters": len(text)}
