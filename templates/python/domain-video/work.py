"""The work: an example, to be replaced by yours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from film import SQUARE, film, frame
from refusal import Refused

if TYPE_CHECKING:
    from domain import VideoRequest

FRAMES_A_SECOND = 2


def work(asked: VideoRequest) -> bytes:
    """A grey area that grows lighter, as MP4."""
    columns, rows = -(-asked.width // SQUARE), -(-asked.height // SQUARE)
    count = max(1, round(asked.seconds * FRAMES_A_SECOND))
    if columns * rows * count > 100_000:
        raise Refused("This example makes short and small films only.")
    frames = []
    for at in range(count):
        if asked.cancelled.is_set():
            break
        frames.append(frame(columns, rows, 32 + 192 * at // count))
    return film(frames, columns, rows, FRAMES_A_SECOND)
