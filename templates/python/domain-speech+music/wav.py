"""Sound as WAV: one channel, 16 bits."""

from __future__ import annotations

import array
import math
import struct
import sys

#: Samples a second.
RATE = 16_000


def wav_head(samples: int) -> bytes:
    """The beginning of a file of so many samples."""
    size = samples * 2
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)


def tone(hertz: float, samples: int) -> bytes:
    """A tone that fades, or silence for 0 Hz."""
    step = 2 * math.pi * hertz / RATE
    sound = array.array("h", (round(8_000 * (1 - at / samples) * math.sin(step * at)) for at in range(samples)))
    if sys.byteorder == "big":
        sound.byteswap()
    return sound.tobytes()
