"""Speech: what goes into the work, and how its sound is answered."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_kit import Answer, Handler, Media, Operation, Request, invalid
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, begin, call, read_number, read_text, read_word

DOMAIN = "speech"
MODALITIES = {"input": ["text"], "output": ["audio"]}
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
SPEAK = OPERATIONS["audio.speech.create"]
#: What a program prints.
PRINTS = "pieces"


@dataclass(frozen=True, kw_only=True)
class SpeechRequest(Asked):
    """The result is sound, as bytes or best in pieces as it is made. WAV, MP3, FLAC, Ogg and AAC are recognised;
    anything else is taken to be of the format that was asked for."""

    text: str
    voice: str
    #: 1 is as usual, 0.25 to 4.
    speed: float
    #: What the client would like: `mp3`, `wav`, `flac`, `opus`, `aac` or `pcm`. The answer says what it got.
    format: str


def handlers(work: Work) -> dict[Operation, Handler]:
    async def speak(request: Request) -> Answer:
        body = request.body
        wanted = read_word(body, "response_format", tuple(TYPES))
        voice = body.get("voice") or "default"
        voice = voice.get("id") if isinstance(voice, dict) else voice
        if not isinstance(voice, str):
            raise invalid("voice", "must be the name of a voice")
        asked = SpeechRequest(
            model=body["model"],
            body=body,
            text=read_text(body, "input"),
            voice=voice,
            speed=read_number(body, "speed", 0.25, 4, 1),
            format=wanted,
        )
        kind, pieces = await begin(await call(work, asked))
        return Media(pieces, kind or TYPES[wanted])

    return {SPEAK: speak}
