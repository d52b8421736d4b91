"""Transcription: what goes into the work, and how what it has heard is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nexus_kit import Answer, Handler, Json, Media, Operation, Request, invalid
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, bad_result, call, read_word

DOMAIN = "transcription"
MODALITIES = {"input": ["audio"], "output": ["text"]}
TRANSCRIBE = OPERATIONS["audio.transcriptions.create"]
#: What a program prints.
PRINTS = "json"


@dataclass(frozen=True, kw_only=True)
class TranscriptionRequest(Asked):
    """The result has `text`, and if they are known `language`, `duration` and `segments`, each with `start`, `end` and
    `text`. Times are seconds."""

    #: The file as it came: WAV, MP3, or whatever clients send.
    sound: bytes
    filename: str
    #: Such as `en`; None when it is to be found out.
    language: str | None


def handlers(work: Work) -> dict[Operation, Handler]:
    async def transcribe(request: Request) -> Answer:
        body = request.body
        file = next((one for one in request.files if one.name == "file"), None)
        if file is None or file.content == b"":
            raise invalid("file", "must be a file with sound in it")
        wanted = read_word(body, "response_format", ("json", "text", "srt", "vtt", "verbose_json"))
        asked = TranscriptionRequest(
            model=body["model"],
            body=body,
            sound=file.content,
            filename=file.filename,
            language=body.get("language") or None,
        )
        heard = await call(work, asked)
        if not isinstance(heard, dict) or not isinstance(heard.get("text"), str):
            raise bad_result("an object with `text`")
        return written(heard, wanted)

    return {TRANSCRIBE: transcribe}


def written(heard: Json, wanted: str) -> Answer:
    """A transcript as the client asks for it."""
    text, duration = heard["text"], heard.get("duration") or 0
    segments = heard.get("segments") or [{"start": 0, "end": duration, "text": text}]
    if wanted == "json":
        return {"text": text}
    if wanted == "text":
        return plain(f"{text}\n")
    if wanted == "srt":
        return plain("\n".join(f"{number}\n{cue(one, ',')}\n" for number, one in enumerate(segments, 1)))
    if wanted == "vtt":
        return plain("WEBVTT\n\n" + "\n".join(f"{cue(one, '.')}\n" for one in segments), "text/vtt")
    numbered = [{"id": number, **one} for number, one in enumerate(segments)]
    head = {"task": "transcribe", "language": heard.get("language") or "", "duration": duration}
    return {**head, "text": text, "segments": numbered}


def plain(text: str, kind: str = "text/plain") -> Media:
    return Media(text.encode("utf-8", "replace"), f"{kind}; charset=utf-8")


def cue(segment: Any, point: str) -> str:
    return f"{clock(segment['start'], point)} --> {clock(segment['end'], point)}\n{segment['text'].strip()}"


def clock(seconds: float, point: str) -> str:
    """`00:01:02,345`."""
    whole, milliseconds = divmod(max(0, round(seconds * 1000)), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"
