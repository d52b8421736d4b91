"""The work: an example, to be replaced by yours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain import ChatRequest


WORDS_MAX = 200
WORD_SECONDS = 0.01


def work(asked: ChatRequest) -> Iterator[str]:
    """Says the last message back, a word at a time, over and over, as a model that takes its time."""
    words = asked.messages[-1]["content"].split() or ["Pardon?"]
    for said in range(WORDS_MAX):
        time.sleep(WORD_SECONDS)
        yield words[said % len(words)] if said == 0 else " " + words[said % len(words)]
