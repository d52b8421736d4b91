"""Pictures: what goes into the work, and how they are answered."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass

from nexus_kit import Answer, Handler, Operation, Request
from nexus_operations import OPERATIONS
from nexus_work import Asked, Work, bad_result, call, media_type_of, read_size, read_text, read_whole

DOMAIN = "image"
MODALITIES = {"input": ["text"], "output": ["image"]}
MAKE = OPERATIONS["images.generate"]
#: What a program prints.
PRINTS = "bytes"
#: As many as OpenAI's API makes at once.
PICTURES_MAX = 10


@dataclass(frozen=True, kw_only=True)
class ImageRequest(Asked):
    """The result is one PNG, JPEG or WebP, as bytes. Asked for once for each picture."""

    prompt: str
    #: In pixels; 512 unless the client says otherwise.
    width: int
    height: int


def handlers(work: Work) -> dict[Operation, Handler]:
    async def make(request: Request) -> Answer:
        body = request.body
        width, height = read_size(body)
        prompt = read_text(body, "prompt")
        asked = ImageRequest(model=body["model"], body=body, prompt=prompt, width=width, height=height)
        data = []
        for _ in range(read_whole(body, "n", 1, PICTURES_MAX, 1)):
            picture = await call(work, asked)
            if not isinstance(picture, bytes) or not (media_type_of(picture) or "").startswith("image/"):
                raise bad_result("a PNG, JPEG or WebP")
            data.append({"b64_json": base64.b64encode(picture).decode()})
        return {"created": int(time.time()), "data": data}

    return {MAKE: make}
