"""What a service of the Nexus platform promises besides its work, on FastAPI.

A `Service` says what it is and has a handler for each operation; `run` makes a process of it: described, registered,
watched, bounded, cancelled with its clients, ended in order. SERVICE_API_SPECIFICATION.md of the platform says what is
promised. This file needs nothing of the platform to be installed, and is yours to change.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import hashlib
import json
import logging
import math
import os
import random
import re
import secrets
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import h11
import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

Json: TypeAlias = dict[str, Any]

JSON, FORM, EVENTS = "application/json", "multipart/form-data", "text/event-stream"
LEVELS = ("debug", "info", "warn", "error", "silent")
LEASE_MS = 10_000
#: A client that takes nothing for this long is given up, and a body has to be complete by then.
STALLED_S, BODY_S = 60.0, 300.0
#: A request's head has to be complete by then.
HEAD_S = 10.0
#: How long handlers may take to end once they are told to, and how long the registry is waited for at the end.
END_S = 2.0
#: While nothing comes for this long, a comment shows that a stream lives.
HEARTBEAT_S = 15.0
#: Bodies of this many requests at full size fit into memory together.
FULL_BODIES = 4

# --- Errors ----------------------------------------------------------------------------------------------------------

#: The status of each code that clients are told.
STATUS = {
    "invalid_request": 400, "invalid_json": 400, "missing_model": 400, "context_length_exceeded": 400,
    "unsupported_feature": 400, "permission_denied": 403, "not_found": 404, "unknown_url": 404, "model_not_found": 404,
    "method_not_allowed": 405, "request_timeout": 408, "conflict": 409, "request_too_large": 413,
    "unsupported_media_type": 415, "rate_limit_exceeded": 429, "queue_full": 429, "client_closed": 499,
    "internal_error": 500, "backend_error": 502, "backend_unreachable": 502, "not_ready": 503, "draining": 503,
    "first_token_timeout": 504, "stall_timeout": 504,
}  # fmt: skip


class ServiceError(HTTPException):
    """An error for the client: a code of `STATUS`, and what to do about it. `note` is for the log only: the message
    never holds a key, a backend's address or a backend's own words."""

    def __init__(self, code: str, message: str, param: str | None = None, retry_after: int = 0, note: str = "") -> None:
        super().__init__(STATUS[code], message, {"retry-after": str(retry_after)} if retry_after else {})
        self.code, self.message, self.param, self.note = code, message, param, note

    def __str__(self) -> str:
        return self.message

    def body(self) -> Json:
        """The error in the shape of OpenAI's API."""
        kinds = {403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status_code, "server_error" if self.status_code >= 499 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def invalid(param: str, problem: str) -> ServiceError:
    """400 for a field with a wrong value: `invalid("n", "must be 1 to 4")`."""
    return ServiceError("invalid_request", f"`{param}` {problem}.", param)


# --- What an author writes -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Events:
    """Server-sent events, as they are made; what fails before the first is an ordinary error. `typed`: each is named by
    its `type` and no `[DONE]` follows, as in all operations but chats and completions."""

    items: AsyncIterator[Json]
    typed: bool = False


@dataclass(frozen=True)
class Media:
    """Bytes of a media type, at once or as they are made."""

    source: bytes | AsyncIterator[bytes]
    content_type: str


@dataclass(frozen=True)
class File:
    """A file of a form. `filename` and `content_type` are the client's words."""

    name: str
    filename: str
    content_type: str
    content: bytes


@dataclass
class Request:
    """One request as a handler sees it: complete, parsed, admitted. Its task is cancelled when the client leaves."""

    #: The JSON body, or a form's fields and files.
    body: Json
    files: list[File]
    is_form: bool
    #: What stands for `{id}` in the path.
    id: str
    query: Mapping[str, list[str]]
    request_id: str
    #: The `traceparent` to send onward.
    traceparent: str


Answer: TypeAlias = Json | Events | Media
Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]
FormReader: TypeAlias = Callable[[bytes, str], tuple[Json, list[File]]]


@dataclass(frozen=True)
class Operation:
    """What is asked for under a path: an operation of the contract, or one of the service's own."""

    id: str
    path: str
    method: str = "POST"
    #: Media types of its answers.
    answers: tuple[str, ...] = (JSON,)
    #: It answers with events when the request says `"stream": true`.
    streams: bool = False
    #: Its request names a model, which is looked up before the handler is called.
    has_model: bool = True
    #: It only tells how something stands: it never waits for a slot, and has no body.
    is_look: bool = False
    takes_json: bool = True
    #: What reads a form, where it takes one.
    read_form: FormReader | None = None
    summary: str = ""


@dataclass(frozen=True)
class Service:
    """What a service is. Names are those of the metadata; what has a default may be left out."""

    name: str
    version: str
    domains: Sequence[str]
    #: Read at every look at the metadata. `Context.changed` says that it answers something new.
    models: Callable[[], Sequence[Json]]
    handlers: Mapping[Operation, Handler]
    description: str = ""
    backend: Json = field(default_factory=lambda: {"name": "python"})
    #: Requests that are worked on at once; `queue_max` more wait.
    max_concurrency: int = 4
    queue_max: int = 64
    body_bytes_max: int = 64 * 1024 * 1024
    modalities: Json = field(default_factory=lambda: {"input": [], "output": []})
    requires: Json = field(default_factory=dict)
    ui: Json = field(default_factory=lambda: {"options": []})
    navigation: Json = field(default_factory=dict)
    #: Loads what is needed while the service listens already. What it raises is the reason of the state `failed`.
    start: Callable[[Context], Awaitable[None]] | None = None
    stop: Callable[[], Awaitable[None]] | None = None
    #: What is under way at SIGTERM has this long to end.
    drain_s: float = 30.0


class Context:
    """How a running service stands, for `start` and whatever that starts."""

    def __init__(self, log: Log) -> None:
        self.log = log
        #: Tells the registry that the models, or the state, are others now.
        self.changed: Callable[[], None] = lambda: None
        self.is_draining = False
        self._checks: dict[str, Json] = {"start": {"status": "pending", "reason": "starting"}}
        self._progress: Json = {}

    def check(self, name: str, status: str, reason: str = "") -> None:
        """Sets a check of `/readyz` to `ok`, `pending` or `failed`; all must be `ok` for the service to be ready."""
        before = self.state()
        self._checks[name] = {"status": status, **({"reason": reason[:1024]} if reason else {})}
        if self.state() != before:
            self.changed()

    def progress(self, fraction: float, eta_seconds: float | None = None) -> None:
        """How far loading is, 0 to 1, and the seconds that it may still take."""
        self._progress = {"progress": min(1.0, max(0.0, fraction)), "eta_seconds": eta_seconds}

    def state(self) -> tuple[str, str]:
        """The state, and what keeps the service from being ready."""
        if self.is_draining:
            return "draining", "shutting down"
        for status, state in (("failed", "failed"), ("pending", "starting")):
            for name, check in self._checks.items():
                if check["status"] == status:
                    return state, f"{name}: {check.get('reason', status)}"
        return "ready", ""

    def report(self) -> Json:
        state, _ = self.state()
        progress = self._progress if state == "starting" else {}
        return {"ready": state == "ready", "state": state, "checks": self._checks, **progress}


# --- Where it stands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Environment:
    """How a process is told where it stands: the `NEXUS_...` variables of the specification."""

    service: str
    instance: str
    host_id: str
    host: str = "127.0.0.1"
    port: int = 0
    base_url: str = ""
    control_url: str = ""
    control_key: str = ""
    log_level: str = "info"
    run_file: str = ""

    @staticmethod
    def read(variables: Mapping[str, str], name: str, port: int = 0) -> Environment:
        """`name` and `port` hold unless a variable says otherwise. Raises ValueError that names the one at fault."""

        def value(variable: str, default: str, pattern: str) -> str:
            text = variables.get(f"NEXUS_{variable}") or default
            if text and not re.fullmatch(pattern, text):
                raise ValueError(f"NEXUS_{variable} must look like {pattern}")
            return text

        is_name = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
        this_host = re.sub(r"[^a-z0-9._-]", "-", socket.gethostname().lower())[:63].strip("._-") or "localhost"
        host, control_url = value("HOST", "127.0.0.1", r"\S+"), value("CONTROL_URL", "", r"(?:unix:/|https?://)\S+")
        base_url = value("BASE_URL", "", r"https?://\S+").rstrip("/")
        if host in ("0.0.0.0", "::") and control_url and not base_url:
            raise ValueError(f"NEXUS_BASE_URL must say where others reach the service, as it listens on {host}")
        return Environment(
            service=value("SERVICE", name, is_name),
            instance=value("INSTANCE", f"{name[:54]}-{secrets.token_hex(4)}", is_name),
            host_id=value("HOST_ID", this_host, is_name),
            host=host,
            port=int(value("PORT", str(port), r"\d{1,5}")),
            base_url=base_url,
            control_url=control_url,
            control_key=variables.get("NEXUS_CONTROL_KEY", ""),
            log_level=value("LOG_LEVEL", "info", "|".join(LEVELS)),
            run_file=variables.get("NEXUS_RUN_FILE", ""),
        )


class Log(logging.Handler):
    """JSON lines on stdout; takes over what libraries warn of. Never log prompts, answers or keys."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(logging.WARNING)
        self._lowest = LEVELS.index(environment.log_level)
        self._who = {"service": environment.service, "instance": environment.instance}

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warn"
        self(level, record.getMessage(), logger=record.name, **({"error": _trace(record)} if record.exc_info else {}))

    def __call__(self, level: str, message: str, **fields: Any) -> None:
        if LEVELS.index(level) >= self._lowest:
            with contextlib.suppress(OSError, ValueError):  # A closed pipe costs lines, never the process.
                line = {"level": level, "time": now(), **self._who, **fields, "message": message}
                print(json.dumps(line, default=str), flush=True)


def _trace(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(value: Any) -> bytes:
    """Compact JSON. Half a surrogate pair, which is no text, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def parse(content: bytes) -> Any:
    """What JSON in UTF-8 says, so that `encode` can say it again: Python's own reader takes numbers that are none.
    Raises ValueError."""

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return value

    try:
        return json.loads(content.decode("utf-8"), parse_constant=number, parse_float=number)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def decode(content: bytes) -> Json:
    """The JSON object in a body."""
    try:
        value = parse(content)
    except ValueError:
        raise ServiceError("invalid_json", "The body is not valid JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise ServiceError("invalid_json", "The body must be a JSON object.")
    return value


# --- One request -----------------------------------------------------------------------------------------------------

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")


class Exchange:
    """One request from its head to its last byte: who asks, what has gone out, what ended it early."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, running: Running) -> None:
        self.scope, self._receive, self._send, self._running = scope, receive, send, running
        self._body_bytes_max = running.service.body_bytes_max
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        sent, trace = headers.get("x-request-id", ""), _TRACE.fullmatch(headers.get("traceparent", ""))
        self.request_id = sent if _REQUEST_ID.fullmatch(sent) else f"req_{secrets.token_hex(16)}"
        self.trace_id, flags = trace.groups() if trace else (secrets.token_hex(16), "01")
        self.traceparent = f"00-{self.trace_id}-{secrets.token_hex(8)}-{flags}"
        self.announced, self._is_asking = int(headers.get("content-length", "0")), "expect" in headers
        is_chunked = "transfer-encoding" in headers
        self._is_read = self.announced == 0 and not is_chunked
        #: Two readers in a row could see two different requests.
        self._has_two_lengths = is_chunked and "content-length" in headers
        self.since = self.last_write = time.monotonic()
        self.operation, self.level = "other", "info"
        self.notes: Json = {}
        self.failure: BaseException | None = None
        self.status, self.body_bytes, self._is_ended = 0, 0, False
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(2)
        self._sending = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        scope["exchange"] = self

    async def serve(self, app: ASGIApp) -> None:
        """Runs the application in a task that ends with the client, and answers what it leaves unanswered."""

        async def work() -> None:
            if self._has_two_lengths:
                raise ServiceError("invalid_request", "Send Content-Length or Transfer-Encoding, not both.")
            if self.announced > self._body_bytes_max:
                raise self._too_large()
            if self._is_read:
                self._listen()
            await app(self.scope, self.receive, self.send)

        self._work = asyncio.create_task(work())
        try:
            await asyncio.wait({self._work})
        finally:
            for task in (self._work, self._watch):
                if task is not None:
                    task.cancel()
        if not self._work.cancelled() and (error := self._work.exception()) is not None:
            self.failure = error
        if self.failure is not None and self.status == 0:
            await error_response(public(self.failure))(self.scope, self.receive, self.send)

    def abort(self, reason: ServiceError) -> None:
        """Ends the work; what its client is told, if there is one, is the reason."""
        if self._work is not None and not self._work.done():
            self.failure = reason
            self._work.cancel()

    def _too_large(self) -> ServiceError:
        return ServiceError("request_too_large", f"Bodies of more than {self._body_bytes_max} bytes are not read.")

    async def receive(self) -> Message:
        self._listen()
        message = await self._inbox.get()
        self.body_bytes += len(message.get("body", b""))
        self._running.body_bytes += len(message.get("body", b""))
        self._is_read = not message.get("more_body", False)
        if self.body_bytes > self._body_bytes_max:
            raise self._too_large()
        if self._running.body_bytes > FULL_BODIES * self._body_bytes_max:
            raise ServiceError("queue_full", "Too many large requests at once. Try again.", retry_after=1)
        return message

    async def _discard(self) -> None:
        """Reads on for a moment, so that a client in the middle of sending sees that it is refused."""
        self._listen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while not self._is_read:
                    self._is_read = not (await self._inbox.get()).get("more_body", False)

    def _listen(self) -> None:
        # Not before the body is wanted: whoever asks with `Expect` is told to go on by the first look.
        self._watch = self._watch or asyncio.create_task(self._listen_on())

    async def _listen_on(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect" and not self._is_ended:
                self.abort(ServiceError("client_closed", "The client left."))
            await self._inbox.put(message)

    async def send(self, message: Message) -> None:
        async with self._sending:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                head = [(b"x-request-id", self.request_id.encode()), (b"traceparent", self.traceparent.encode())]
                if self.status >= 400 and not self._is_read:
                    is_plain = not self._is_asking and not self._has_two_lengths
                    if is_plain and self.announced <= 2 * self._body_bytes_max:
                        await self._discard()
                    if not self._is_read:  # What is not read can be no part of a next request.
                        head.append((b"connection", b"close"))
                message = {**message, "headers": [*message.get("headers", []), *head]}
            self._is_ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            try:
                async with asyncio.timeout(STALLED_S):
                    await self._send(message)
            except TimeoutError:
                raise ServiceError("client_closed", "The client stopped reading its answer.") from None
            self.last_write = time.monotonic()

    async def deliver(self, answer: Answer) -> None:
        """Sends an answer to its end. What fails before its first byte is raised."""
        if isinstance(answer, Events):
            await self._deliver_events(answer)
        elif isinstance(answer, Media) and not isinstance(answer.source, bytes):
            await self._deliver_pieces(answer.source, answer.content_type)
        else:
            media = answer if isinstance(answer, Media) else Media(encode(answer), JSON)
            await Response(media.source, media_type=media.content_type)(self.scope, self.receive, self.send)

    async def _deliver_pieces(self, pieces: AsyncIterator[bytes], content_type: str) -> None:
        async with closing(pieces):
            async for piece in pieces:
                await self._write(piece, content_type)
        await self._write(b"", content_type, more=False)

    async def _deliver_events(self, answer: Events) -> None:
        beating = asyncio.create_task(self._beat())
        try:
            async with closing(answer.items):
                async for item in answer.items:
                    await self._write(event(item, answer.typed), EVENTS)
            await self._write(b"" if answer.typed else b"data: [DONE]\n\n", EVENTS, more=False)
        except BaseException as thrown:
            self.failure = self.failure or thrown
            if self.status == 0 or public(self.failure).code == "client_closed":
                raise
            told = event(public(self.failure).body(), typed=False)
            await self._write(b"event: error\n" + told, EVENTS, more=False)
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.last_write + HEARTBEAT_S - time.monotonic())
            if time.monotonic() - self.last_write >= HEARTBEAT_S:
                await self._write(b": waiting\n\n", EVENTS)

    async def _write(self, piece: bytes, content_type: str, more: bool = True) -> None:
        if self.status == 0:
            self.status = 200  # At once: the heart may beat while the head goes out.
            head = [(b"content-type", content_type.encode())]
            if content_type == EVENTS:
                head += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
            await self.send({"type": "http.response.start", "status": 200, "headers": head})
        await self.send({"type": "http.response.body", "body": piece, "more_body": more})


def event(item: Json, typed: bool) -> bytes:
    name = str(item.get("type", "")) if typed else ""
    named = f"event: {name}\n".encode() if re.fullmatch(r"[\w.-]{1,128}", name, re.ASCII) else b""
    return named + b"data: " + encode(item) + b"\n\n"


def public(failure: BaseException) -> ServiceError:
    """What a client is told of a failure: nothing of a defect."""
    return failure if isinstance(failure, ServiceError) else ServiceError("internal_error", "The service failed.")


def error_response(error: ServiceError) -> Response:
    return Response(encode(error.body()), error.status_code, error.headers, JSON)


@contextlib.asynccontextmanager
async def closing(items: AsyncIterator[Any]) -> AsyncIterator[None]:
    """Ends a generator with its reader, whatever its own `finally` raises."""
    try:
        yield
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            with contextlib.suppress(Exception):
                await close()


# --- The running service ---------------------------------------------------------------------------------------------


class Running:
    """One running copy of a service: who works, what it says of itself, how it ends."""

    def __init__(self, service: Service, environment: Environment) -> None:
        self.service, self.environment = service, environment
        self.log = Log(environment)
        self.context = Context(self.log)
        self.started_at, self.since = now(), time.time()
        self.open: set[Exchange] = set()
        self.is_refusing = False
        self.body_bytes = self.active = self.waiting = 0
        self._slots = asyncio.Semaphore(service.max_concurrency)
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def life(self, _app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(self._start())
        yield
        starting.cancel()
        if self.service.stop is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.service.stop(), END_S)

    async def _start(self) -> None:
        try:
            if self.service.start is not None:
                await self.service.start(self.context)
            self.context.check("start", "ok")
        except Exception as error:
            self.log("error", "the service cannot start", error=traceback.format_exc())
            self.context.check("start", "failed", str(error) or type(error).__name__)

    async def drain(self, registration: Registration | None) -> None:
        """Out of the registry first, so that nobody is sent here any more; then what is open may end."""
        self.log("info", "shutting down", open=len(self.open))
        self.context.is_draining = True
        if registration is not None:
            await registration.stop()
        self.is_refusing = True
        await self._emptied(self.service.drain_s)
        for exchange in self.open:
            exchange.abort(ServiceError("draining", "The service shut down before the answer was complete."))
        await self._emptied(END_S)

    async def _emptied(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.open and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    def refuse_unless_serving(self) -> None:
        state, reason = self.context.state()
        if self.is_refusing:
            raise ServiceError("draining", "This service is shutting down.", retry_after=1)
        if state not in ("ready", "draining"):
            raise ServiceError("not_ready", f"This service is not ready: {reason}. See /readyz.", retry_after=2)

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits its turn, first come, first served."""
        if self._slots.locked() and self.waiting >= self.service.queue_max:
            raise ServiceError("queue_full", "All slots are taken and many requests wait. Try again.", retry_after=1)
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
            self._slots.release()

    def count(self, operation: str, status: int, seconds: float) -> None:
        self._requests[operation, status] += 1
        self._seconds[operation] += seconds  # type: ignore[assignment]

    def metrics(self) -> str:
        is_ready = int(self.context.state()[0] == "ready")
        gauges = {"slots_active": self.active, "queue_depth": self.waiting, "ready": is_ready}
        lines = [f"# TYPE nexus_service_{name} gauge\nnexus_service_{name} {value}" for name, value in gauges.items()]
        lines.append("# TYPE nexus_service_requests_total counter")
        for (operation, status), count in self._requests.items():
            lines.append(f'nexus_service_requests_total{{operation="{operation}",status="{status}"}} {count}')
        lines.append("# TYPE nexus_service_request_seconds_total counter")
        for operation, seconds in self._seconds.items():
            lines.append(f'nexus_service_request_seconds_total{{operation="{operation}"}} {seconds:.6f}')
        return "\n".join(lines) + "\n"

    def health(self) -> Json:
        who = {"service": self.environment.service, "version": self.service.version}
        return {"status": "ok", **who, "uptime_seconds": max(0, round(time.time() - self.since, 3))}

    def metadata(self) -> Json:
        service, environment = self.service, self.environment
        who = {"name": environment.service, "version": service.version, "description": service.description}
        keys = {"method": "method", "path": "path", "operation_id": "id", "summary": "summary", "streaming": "streams"}
        capabilities = {
            "domains": list(service.domains),
            "modalities": service.modalities,
            "streaming": any(one.streams for one in service.handlers),
            "max_concurrency": service.max_concurrency,
        }
        return {
            "schema_version": "1.0",
            "service": who,
            "instance": {"id": environment.instance, "host": environment.host_id, "started_at": self.started_at},
            "backend": service.backend,
            "endpoints": [{key: getattr(one, name) for key, name in keys.items()} for one in service.handlers],
            "capabilities": capabilities,
            "models": list(service.models()),
            "requires": service.requires,
            "ui": service.ui,
        }

    def descriptor(self) -> Json:
        types = {one.id: [*one.answers, *([EVENTS] if one.streams else [])] for one in self.service.handlers}
        where = {"section": self.service.domains[0], "title": self.environment.service, **self.service.navigation}
        return {**self.metadata(), "response_types": types, "ui_navigation": where}

    def record(self, base_url: str) -> Json:
        """What stands in the registry right now."""
        metadata, (state, reason) = self.metadata(), self.context.state()
        return {
            "schema_version": "1.0",
            "service": self.environment.service,
            "instance": self.environment.instance,
            "host": self.environment.host_id,
            "base_url": base_url,
            "metadata": metadata,
            "metadata_digest": "sha256:" + hashlib.sha256(encode(metadata)).hexdigest(),
            "state": state,
            "state_reason": reason[:1024],
            "registered_at": self.started_at,
        }

    def models(self) -> Json:
        return {"object": "list", "data": [self.model(model["id"]) for model in self.service.models()]}

    def model(self, name: str) -> Json:
        own = {"object": "model", "created": int(self.since), "owned_by": self.environment.service}
        return {**self.find_model(name), **own}

    def find_model(self, asked: Any) -> Json:
        """The model of an id or alias."""
        if not isinstance(asked, str) or asked == "":
            raise ServiceError("missing_model", "The request must name a `model`.", "model")
        named = {name: model for model in self.service.models() for name in (model["id"], *model.get("aliases", []))}
        if asked in named:
            return named[asked]
        close = difflib.get_close_matches(asked[:64], named, 3)
        hint = f"Did you mean {' or '.join(close)}?" if close else "GET /v1/models lists what there is."
        message = f"This service has no model {json.dumps(asked[:100])}. {hint}"
        raise ServiceError("model_not_found", message, "model")


class Work:
    """Serves one operation: read, check, wait for a slot, handle, send. The slot is free when all of it has ended."""

    def __init__(self, running: Running, operation: Operation, handler: Handler) -> None:
        self.running, self.operation, self.handler = running, operation, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        running, exchange = self.running, scope["exchange"]
        exchange.operation = self.operation.id
        running.refuse_unless_serving()
        request = await self._read(exchange, HttpRequest(scope, receive))
        async with contextlib.nullcontext() if self.operation.is_look else running.slot():
            await exchange.deliver(await self.handler(request))

    async def _read(self, exchange: Exchange, http: HttpRequest) -> Request:
        fields: Json = {}
        files: list[File] = []
        if not self.operation.is_look:
            read = self._reader(http)
            try:
                content = await asyncio.wait_for(http.body(), BODY_S)
            except TimeoutError:
                raise ServiceError("request_timeout", "The request was not complete in time.") from None
            fields, files = read(content)
            if self.operation.has_model:
                exchange.notes["model"] = self.running.find_model(fields.get("model"))["id"]
            if fields.get("stream") is True and not self.operation.streams:
                raise ServiceError("unsupported_feature", "Answers are not streamed here.", "stream")
        path_id, query = http.path_params.get("id", ""), parse_qs(http.url.query)
        if path_id in (".", ".."):  # In a path that is asked for elsewhere they would lead to another one.
            raise ServiceError("not_found", "The path has no id that can be one.")
        is_form = http.headers.get("content-type", "").lower().startswith(FORM)
        return Request(fields, files, is_form, path_id, query, exchange.request_id, exchange.traceparent)

    def _reader(self, http: HttpRequest) -> Callable[[bytes], tuple[Json, list[File]]]:
        """A missing type is refused too: pages in a browser may send bodies without one, or forms, to any address."""
        kind = http.headers.get("content-type", "")
        plain = kind.split(";", 1)[0].strip().lower()
        if http.headers.get("content-encoding", "identity") != "identity":
            raise ServiceError("unsupported_media_type", "Send the body without a Content-Encoding.")
        if self.operation.takes_json and re.fullmatch(r"application/(?:json|[a-z0-9.-]+\+json)", plain):
            return lambda content: (decode(content), [])
        if (read_form := self.operation.read_form) is not None and plain == FORM:
            if "origin" in http.headers:
                raise ServiceError("permission_denied", "Pages in a browser may not send forms here.")
            return lambda content: read_form(content, kind)
        accepted = [JSON] * self.operation.takes_json + [FORM] * (self.operation.read_form is not None)
        raise ServiceError("unsupported_media_type", f"Send the body with Content-Type: {' or '.join(accepted)}.")


class Edge:
    """Around everything: ids, limits, cancelling, errors of one shape, and one line in the log for each request."""

    def __init__(self, app: ASGIApp, running: Running) -> None:
        self.app, self.running = app, running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = Exchange(scope, receive, send, self.running)
        self.running.open.add(exchange)
        try:
            await exchange.serve(self.app)
        finally:
            self.running.open.discard(exchange)
            self.running.body_bytes -= exchange.body_bytes
            self._record(exchange)

    def _record(self, exchange: Exchange) -> None:
        failure, seconds = exchange.failure, time.monotonic() - exchange.since
        status, level, problem = exchange.status, exchange.level, {}
        if failure is not None:
            error = public(failure)
            status = 499 if error.code == "client_closed" else status
            problem = {"code": error.code, "reason": error.message, **({"detail": error.note} if error.note else {})}
            if error is not failure:
                problem["error"] = "".join(traceback.format_exception(failure))
            level = "error" if error is not failure else "warn" if error.status_code >= 500 else level
        self.running.count(exchange.operation, status, seconds)
        self.running.log(
            level,
            "request completed",
            request_id=exchange.request_id,
            trace_id=exchange.trace_id,
            method=exchange.scope["method"],
            path=exchange.scope["path"][:256],
            operation=exchange.operation,
            status=status,
            duration_ms=round(1000 * seconds),
            body_bytes=exchange.body_bytes,
            **exchange.notes,
            **problem,
        )


def create_app(service: Service, environment: Environment | None = None) -> FastAPI:
    """The service as an application for any ASGI server or test client. Routes that are added to it are bounded,
    cancelled, counted and logged as its own are."""
    running = Running(service, environment or Environment.read({}, service.name))
    app = FastAPI(lifespan=running.life, openapi_url=None, redirect_slashes=False)
    app.state.running = running
    app.add_middleware(Edge, running=running)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _http_error)

    def document(path: str, name: str, answer: Callable[[HttpRequest], Json | str]) -> None:
        async def serve(request: HttpRequest) -> Response:
            request.scope["exchange"].operation, request.scope["exchange"].level = name, "debug"
            content = answer(request)
            if isinstance(content, str):
                return Response(content, media_type="text/plain; version=0.0.4")
            return Response(encode(content), 503 if content.get("ready") is False else 200, media_type=JSON)

        app.router.routes.append(Route(path, serve, methods=["GET"]))

    document("/health", "health", lambda _: running.health())
    document("/readyz", "readyz", lambda _: running.context.report())
    document("/metrics", "metrics", lambda _: running.metrics())
    document("/v1/metadata", "metadata", lambda _: running.metadata())
    document("/v1/descriptor", "descriptor", lambda _: running.descriptor())
    document("/v1/models", "models.list", lambda _: running.models())
    document("/v1/models/{id:path}", "models.retrieve", lambda one: running.model(one.path_params["id"]))
    for operation, handler in service.handlers.items():
        app.router.routes.append(Route(operation.path, Work(running, operation, handler), methods=[operation.method]))
    return app


async def _http_error(request: HttpRequest, error: Exception) -> Response:
    """FastAPI's own errors, and ours, in the shape of OpenAI's API."""
    shown, allow = json.dumps(request.url.path[:100]), ""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        error = invalid(".".join(str(part) for part in first["loc"] if part != "body"), f"is wrong: {first['msg']}")
    elif isinstance(error, HTTPException) and not isinstance(error, ServiceError):
        if error.status_code == 405:
            routes = [one for one in request.app.router.routes if one.matches(request.scope)[0] is not Match.NONE]
            allow = ", ".join(sorted({method for one in routes for method in one.methods}))
        code = {404: "unknown_url", 405: "method_not_allowed"}.get(error.status_code)
        code = code or next((code for code, status in STATUS.items() if status == error.status_code), "internal_error")
        said = {404: f"Nothing lives under {shown}.", 405: f"{shown} is asked with {allow}."}
        error = ServiceError(code, said.get(error.status_code, str(error.detail)))
    request.scope["exchange"].failure = error
    response = error_response(public(error))
    response.headers.update({"allow": allow} if allow else {})
    return response


# --- The process -----------------------------------------------------------------------------------------------------


class Registration:
    """Keeps a record in the registry: renewed every third of its lease, written again when it has changed or was lost,
    with growing pauses while the registry is away. An outage of the registry is no outage of the service."""

    def __init__(self, environment: Environment, record: Callable[[], Json], log: Log) -> None:
        self._record, self._log = record, log
        url, key = urlsplit(environment.control_url), environment.control_key
        is_unix = url.scheme == "unix"
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=url.path) if is_unix else None,
            base_url=("http://nexus" if is_unix else environment.control_url) + "/v1/nexus/registry",
            headers={"content-type": JSON, **({"authorization": f"Bearer {key}"} if key else {})},
            timeout=LEASE_MS / 1000,
            trust_env=False,
        )
        self._lease = self._reason = ""
        self._failures = 0
        self._is_changed = self._is_stopping = False
        self._wake = asyncio.Event()
        self._running = asyncio.create_task(self._run())

    def changed(self) -> None:
        """Writes the record again. A change is no reason to press a registry that does not answer."""
        self._is_changed = True
        if self._failures == 0:
            self._wake.set()

    async def stop(self) -> None:
        """Takes the record away; waits at most 2 s, after which the lease runs out by itself."""
        self._is_stopping = True
        self._wake.set()
        with contextlib.suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(END_S):
                await self._running
                if self._lease:
                    await self._client.delete(f"/leases/{self._lease}")
        await self._client.aclose()

    async def _run(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            try:
                await self._step()
                self._failures, self._reason, pause = 0, "", LEASE_MS / 3000
            except (httpx.HTTPError, ValueError, KeyError) as error:
                pause = min(5.0, 0.25 * 2**self._failures) * random.uniform(0.5, 1)
                self._failures = min(self._failures + 1, 8)
                self._is_changed = True  # What was to be written may not stand there.
                level = "debug" if str(error) == self._reason else "warn"
                self._reason = str(error)
                self._log(level, "cannot register, trying again", reason=self._reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def _step(self) -> None:
        """Makes the one call that is due."""
        if self._lease:
            body = {"record": self._record()} if self._is_changed else {}
            self._is_changed = False
            answer = await self._client.put(f"/leases/{self._lease}", content=encode(body))
            if answer.status_code != 410:
                return self._must_be_good(answer)
            self._lease = ""  # It has run out, or the registry has started anew.
        self._is_changed = False
        content = encode({"record": self._record(), "ttl_ms": LEASE_MS})
        answer = await self._client.post("/instances", content=content)
        self._must_be_good(answer)
        self._lease = str(answer.json()["lease"]["id"])
        self._log("info", "registered")

    def _must_be_good(self, answer: httpx.Response) -> None:
        if answer.is_error:
            raise ValueError(f"the registry answered {answer.status_code}: {answer.text[:500]}")


class Protocol(H11Protocol):
    """uvicorn's, which by itself waits for ever for the head of a request that has begun, or never begins."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_wait()

    def _wait_for_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._end_wait()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def _end_wait(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield  # They are taken by `run`: a service leaves the registry before it stops.


def run(service: Service, port: int = 0) -> None:
    """Runs the service until SIGTERM or SIGINT; see "The life of a service" in the specification. It listens at `port`
    unless NEXUS_PORT says otherwise; 0 is any free one."""
    try:
        environment = Environment.read(os.environ, service.name, port)
        family = socket.AF_INET6 if ":" in environment.host else socket.AF_INET
        listener = socket.create_server((environment.host, environment.port), family=family, backlog=512)
    except (ValueError, OverflowError, OSError) as error:
        sys.exit(f"The service cannot start: {error}.")
    asyncio.run(_serve(service, environment, listener))


async def _serve(service: Service, environment: Environment, listener: socket.socket) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(service.max_concurrency + 4))
    app = create_app(service, environment)
    running: Running = app.state.running
    logging.basicConfig(handlers=[running.log], level=logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # It repeats what is logged here.
    config = uvicorn.Config(app, http=Protocol, ws="none", log_config=None, access_log=False, server_header=False)
    config.timeout_keep_alive, config.timeout_graceful_shutdown = 75, 1
    server, stopping = _Server(config), asyncio.Event()
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)

    def stop() -> None:
        """The first signal asks for an end, a second ends at once."""
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if environment.run_file:
        write_atomically(environment.run_file, encode({"pid": os.getpid(), "url": url}) + b"\n")
    running.log("info", "listening", url=url)
    registration: Registration | None = None
    if environment.control_url:
        registration = Registration(environment, lambda: running.record(environment.base_url or url), running.log)
        running.context.changed = registration.changed
    await stopping.wait()
    await running.drain(registration)
    server.should_exit = True
    await serving
    running.log("info", "stopped")
    backstop = threading.Timer(END_S, os._exit, (0,))  # A thread that does not end keeps no process alive.
    backstop.daemon = True
    backstop.start()


def write_atomically(path: str, content: bytes) -> None:
    part = f"{path}.{os.getpid()}.part"
    with open(part, "wb") as file:
        file.write(content)
    os.replace(part, path)
