"""Music: what goes into the work, and the jobs that are made of it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_jobs import Jobs
from nexus_kit import Answer, Handler, Operation, Request
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, read_number, read_text

DOMAIN = "music"
MODALITIES = {"input": ["text"], "output": ["audio"]}
#: What a program prints.
PRINTS = "pieces"


@dataclass(frozen=True, kw_only=True)
class MusicRequest(Asked):
    """The result is WAV, MP3, FLAC, Ogg or AAC, as bytes or in pieces. May take long: nobody waits at the other end of
    a connection."""

    prompt: str
    seconds: float


def handlers(work: Work) -> dict[Operation, Handler]:
    jobs = Jobs("music", work, otherwise="audio/wav")

    async def create(request: Request) -> Answer:
        body = request.body
        prompt, seconds = read_text(body, "prompt"), read_number(body, "seconds", 1, 600, 4)
        asked = MusicRequest(model=body["model"], body=body, prompt=prompt, seconds=seconds)
        return jobs.add(asked, {"prompt": prompt, "seconds": f"{seconds:g}"})

    steps = {
        "create": create,
        "list": jobs.list,
        "retrieve": jobs.retrieve,
        "delete": jobs.delete,
        "download_content": jobs.content,
    }
    return {OPERATIONS[f"music.{step}"]: handler for step, handler in steps.items()}
