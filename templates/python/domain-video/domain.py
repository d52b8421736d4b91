"""Films: what goes into the work, and the jobs that are made of it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_jobs import Jobs
from nexus_kit import Answer, Handler, Operation, Request
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, read_number, read_size, read_text

DOMAIN = "video"
MODALITIES = {"input": ["text"], "output": ["video"]}
#: What a program prints.
PRINTS = "pieces"


@dataclass(frozen=True, kw_only=True)
class VideoRequest(Asked):
    """The result is an MP4, as bytes or in pieces. May take long: nobody waits at the other end of a connection."""

    prompt: str
    seconds: float
    #: In pixels.
    width: int
    height: int


def handlers(work: Work) -> dict[Operation, Handler]:
    jobs = Jobs("video", work, otherwise="video/mp4")

    async def create(request: Request) -> Answer:
        body = request.body
        prompt, seconds = read_text(body, "prompt"), read_number(body, "seconds", 1, 600, 4)
        width, height = read_size(body)
        asked = VideoRequest(model=body["model"], body=body, prompt=prompt, seconds=seconds, width=width, height=height)
        return jobs.add(asked, {"prompt": prompt, "seconds": f"{seconds:g}", "size": f"{width}x{height}"})

    steps = {
        "create": create,
        "list": jobs.list,
        "retrieve": jobs.retrieve,
        "delete": jobs.delete,
        "download_content": jobs.content,
    }
    return {OPERATIONS[f"videos.{step}"]: handler for step, handler in steps.items()}
