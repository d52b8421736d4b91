"""The work: an example, to be replaced by yours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wav import RATE, tone, wav_head

if TYPE_CHECKING:
    from domain import SpeechRequest

LETTER_SECONDS = 0.06


def work(asked: SpeechRequest) -> Iterator[bytes]:
    """Hums a tone for each letter, as WAV: the beginning goes out before the end is made."""
    samples = round(RATE * LETTER_SECONDS / asked.speed)
    yield wav_head(samples * len(asked.text))
    for letter in asked.text:
        yield tone(180 + 12 * (ord(letter) % 32) if letter.isalnum() else 0, samples)
