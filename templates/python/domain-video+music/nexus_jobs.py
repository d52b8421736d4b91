"""Jobs: made beside the requests that ask for them, so many at a time, and kept in memory until they are deleted or
newer ones need the room."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field

from nexus_kit import Answer, Json, Media, Request, ServiceError, closing
from nexus_work import Asked, Work, bad_result, begin, call, media_type_of

#: A film or a piece of music takes all of most machines.
AT_ONCE = 1
JOBS_MAX = 64
KEPT_BYTES_MAX = 256 * 1024 * 1024


@dataclass
class Job:
    id: str
    asked: Asked
    facts: Json
    created_at: int = field(default_factory=lambda: int(time.time()))
    status: str = "queued"
    completed_at: int | None = None
    content: bytes = b""
    task: asyncio.Task[None] | None = None


class Jobs:
    """The jobs of one service; `kind` is `video` or `music`."""

    def __init__(self, kind: str, work: Work, otherwise: str) -> None:
        self._kind, self._work, self._otherwise = kind, work, otherwise
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._jobs: dict[str, Job] = {}

    def add(self, asked: Asked, facts: Json) -> Json:
        """Begins a job, as soon as there is a slot for it."""
        self._make_room()
        job = Job(f"{self._kind}_{secrets.token_hex(12)}", asked, {"model": asked.model, **facts})
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._run(job))
        return self._describe(job)

    async def list(self, _: Request) -> Answer:
        data = [self._describe(job) for job in reversed(self._jobs.values())]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return {"object": "list", "data": data, **ends, "has_more": False}

    async def retrieve(self, request: Request) -> Answer:
        return self._describe(self._find(request.id))

    async def delete(self, request: Request) -> Answer:
        job = self._find(request.id)
        del self._jobs[job.id]
        if job.task is not None:
            job.task.cancel()
        return {"id": job.id, "object": f"{self._kind}.deleted", "deleted": True}

    async def content(self, request: Request) -> Answer:
        job = self._find(request.id)
        if job.status != "completed":
            raise ServiceError("conflict", f"It is {job.status}: ask for it when its status is completed.")
        return Media(job.content, media_type_of(job.content) or self._otherwise)

    def _find(self, name: str) -> Job:
        if name not in self._jobs:
            raise ServiceError("not_found", f"There is no {self._kind} of this id here.")
        return self._jobs[name]

    def _describe(self, job: Job) -> Json:
        progress = 100 if job.status == "completed" else 0
        error = {"code": "backend_error", "message": "It could not be made."} if job.status == "failed" else None
        times = {"created_at": job.created_at, "completed_at": job.completed_at, "expires_at": None}
        head = {"id": job.id, "object": self._kind, "status": job.status, "progress": progress}
        return {**head, **job.facts, **times, "error": error}

    async def _run(self, job: Job) -> None:
        async with self._slots:
            job.status = "in_progress"
            try:
                job.content = await self._make(job.asked)
                job.status = "completed"
            except Exception:
                logging.getLogger("jobs").exception("the job %s failed", job.id)
                job.status = "failed"
            finally:
                job.completed_at = int(time.time())
        self._forget(len(job.content))

    async def _make(self, asked: Asked) -> bytes:
        _, pieces = await begin(await call(self._work, asked))
        content = bytearray()
        async with closing(pieces):
            async for piece in pieces:
                content += piece
                if len(content) > KEPT_BYTES_MAX:
                    raise bad_result(f"at most {KEPT_BYTES_MAX} bytes")
        return bytes(content)

    def _make_room(self) -> None:
        if len(self._jobs) < JOBS_MAX:
            return
        done = next((job.id for job in self._jobs.values() if job.completed_at is not None), None)
        if done is None:
            raise ServiceError("queue_full", f"{JOBS_MAX} jobs wait or run. Try again later.", retry_after=30)
        del self._jobs[done]

    def _forget(self, added: int) -> None:
        """Lets the oldest results go when all together are too much."""
        kept = sum(len(job.content) for job in self._jobs.values())
        for job in list(self._jobs.values()):
            if kept <= max(KEPT_BYTES_MAX, added):
                return
            if job.content:
                kept -= len(job.content)
                del self._jobs[job.id]
