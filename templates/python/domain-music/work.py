"""The work: an example, to be replaced by yours."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wav import RATE, tone, wav_head

if TYPE_CHECKING:
    from domain import MusicRequest

#: Five notes that go together in any order.
NOTES = (261.6, 293.7, 329.6, 392.0, 440.0)
NOTE_SECONDS = 0.25


def work(asked: MusicRequest) -> Iterator[bytes]:
    """Plays a tune that follows from the prompt, as WAV."""
    tune = hashlib.sha256(asked.prompt.encode("utf-8", "replace")).digest()
    samples, count = round(RATE * NOTE_SECONDS), math.ceil(asked.seconds / NOTE_SECONDS)
    yield wav_head(samples * count)
    for at in range(count):
        yield tone(NOTES[tune[at % len(tune)] % len(NOTES)], samples)
