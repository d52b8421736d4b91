"""The work: an example, to be replaced by yours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain import RerankRequest


def work(asked: RerankRequest) -> list[float]:
    """The share of the query's words that a document has."""
    wanted = words_of(asked.query)
    return [len(wanted & words_of(document)) / max(1, len(wanted)) for document in asked.documents]


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
