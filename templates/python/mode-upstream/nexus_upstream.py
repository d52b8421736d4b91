"""A service in front of an HTTP server that exists, as `upstream.yaml` describes it: requests go there with other
paths, model names and fields, answers come back the same way, streams as they are made. Ready while the server is."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import httpx
from pydantic import ConfigDict, Field, model_validator

from nexus_kit import (
    EVENTS,
    JSON,
    Answer,
    Context,
    Events,
    Handler,
    Json,
    Media,
    Operation,
    Request,
    ServiceError,
    encode,
    parse,
)
from nexus_mapping import MISSING, FieldMap, fill, pick
from nexus_operations import OPERATIONS
from nexus_settings import Settings, read_settings
from nexus_work import Asked, Work, bad_result

#: How long the server may take to say that it is well, and to take a connection.
HEALTH_S, CONNECT_S = 3.0, 10.0
#: Of an answer that says no.
REFUSAL_BYTES_MAX, MESSAGE_LENGTH_MAX = 65_536, 500
#: What its client can change: the server's own words help.
OF_THE_REQUEST = (400, 404, 409, 410, 413, 415, 416, 422)

UrlPath = Annotated[str, Field(pattern=r"^/[^\s#]*$")]


class Passed(Settings):
    path: UrlPath | None = None
    request: FieldMap = FieldMap()
    response: FieldMap = FieldMap()


class AskedFor(Settings):
    path: UrlPath
    request: Json = Field(default_factory=dict)
    result: str = Field(default=".", min_length=1)


class Health(Settings):
    path: UrlPath = "/health"
    every_seconds: float = Field(default=5, ge=0.1, le=600)


class WrappedModel(Settings):
    """Whatever else stands in it is a fact of the metadata."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    id: str = Field(min_length=1)
    called: str = Field(default="", alias="as")
    aliases: list[str] = Field(default_factory=list)


class Wrapped(Settings):
    """`upstream.yaml`."""

    title: str = Field(default="The server", min_length=1, max_length=64)
    url: str = Field(pattern=r"^https?://\S+$")
    key: str = Field(default="", pattern=r"^(|env:[A-Za-z_]\w*|file:/.+)$")
    health: Health = Health()
    timeout_seconds: float = Field(default=60, gt=0, le=86_400)
    stall_seconds: float = Field(default=30, gt=0, le=86_400)
    answer_bytes_max: int = Field(default=64 * 1024 * 1024, gt=0)
    concurrency: int = Field(default=4, gt=0, le=1024)
    domains: list[str] = Field(min_length=1)
    models: list[WrappedModel] = Field(min_length=1)
    operations: dict[str, Passed] = Field(default_factory=dict)
    work: AskedFor | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Wrapped:
        if bool(self.operations) == (self.work is not None):
            raise ValueError("give either `operations` or `work`")
        if strangers := self.operations.keys() - OPERATIONS.keys():
            raise ValueError(f"operations: {', '.join(sorted(strangers))} can't be passed on")
        return self


class TheirRefusal(ServiceError):
    """An error of the server's, about something that the client can change."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__("invalid_request", str(error["message"]))
        self.status_code, self._error = status, error

    def body(self) -> Json:
        return {"error": self._error}


class Upstream:
    """The server behind the service."""

    def __init__(self, settings: Wrapped, variables: Mapping[str, str]) -> None:
        """`UPSTREAM_URL` goes before the file's `url`. Raises ValueError."""
        self.settings = settings
        self._url = (variables.get("UPSTREAM_URL") or settings.url).rstrip("/")
        self._key = resolve(settings.key, variables)
        self._client: httpx.AsyncClient | None = None
        self._watch: asyncio.Task[None] | None = None

    @staticmethod
    def read(path: Path) -> Upstream:
        return Upstream(read_settings(Wrapped, path), os.environ)

    def models(self) -> list[Json]:
        """What the metadata says of them."""
        facts = [model.model_dump(exclude={"called"}) for model in self.settings.models]
        return [{"domains": self.settings.domains, "state": "loaded", **model} for model in facts]

    def handlers(self) -> dict[Operation, Handler]:
        passed = {OPERATIONS[name]: how for name, how in self.settings.operations.items()}
        return {operation: self._relay(operation, how) for operation, how in passed.items()}

    async def start(self, context: Context) -> None:
        """Looks whether the server is well, once before the service can be ready and then again and again."""
        await self._look(context)

        async def go_on() -> None:
            while True:
                await asyncio.sleep(self.settings.health.every_seconds)
                await self._look(context)

        self._watch = asyncio.create_task(go_on())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._client is not None:
            await self._client.aclose()

    async def _look(self, context: Context) -> None:
        path, problem = self.settings.health.path, ""
        try:
            async with asyncio.timeout(HEALTH_S):
                status = (await self._http().get(self._url + path)).status_code
            problem = "" if 200 <= status < 300 else f"answers {status} to {path}"
        except (TimeoutError, httpx.TimeoutException):
            problem = f"does not answer {path} in time"
        except httpx.HTTPError:
            problem = "can't be reached"
        context.check("upstream", *(("failed", f"{self.settings.title} {problem}") if problem else ("ok",)))

    def _http(self) -> httpx.AsyncClient:
        # A connection that was kept, and is gone, would fail a request that costs minutes: none are kept.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        headers = {"accept-encoding": "identity", **({"authorization": f"Bearer {self._key}"} if self._key else {})}
        timeout = httpx.Timeout(None, connect=CONNECT_S)
        if self._client is None:
            self._client = httpx.AsyncClient(headers=headers, limits=limits, timeout=timeout, trust_env=False)
        return self._client

    async def _open(self, method: str, path: str, request: Request | None, **body: Any) -> httpx.Response:
        """Asks; the head of the answer is there when it returns. Whoever calls it reads the rest or closes it."""
        title = self.settings.title
        ids = {"x-request-id": request.request_id, "traceparent": request.traceparent} if request else {}
        headers = {**ids, **body.pop("headers", {})}
        query = httpx.QueryParams(request.query if request else {})
        target = f"{self._url}{path}{'&' if '?' in path else '?'}{query}" if query else self._url + path
        asked = self._http().build_request(method, target, headers=headers, **body)
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                return await self._http().send(asked, stream=True)
        except (TimeoutError, httpx.TimeoutException):
            raise ServiceError("first_token_timeout", f"{title} did not answer in time.") from None
        except httpx.HTTPError as error:
            raise ServiceError("backend_unreachable", f"{title} does not answer.", note=repr(error)) from None

    async def _pieces(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The bytes of an answer as they come. The time between two counts only while somebody waits for the next."""
        title, pieces = self.settings.title, response.aiter_bytes()
        try:
            while True:
                async with asyncio.timeout(self.settings.stall_seconds):
                    piece = await anext(pieces, b"")
                if piece == b"":
                    return
                yield piece
        except TimeoutError:
            raise ServiceError("stall_timeout", f"{title} stopped in its answer.") from None
        except httpx.HTTPError as error:
            raise ServiceError("backend_error", f"{title} broke off in its answer.", note=repr(error)) from None
        finally:
            await response.aclose()

    async def _whole(self, response: httpx.Response, bytes_max: int) -> bytes:
        content = bytearray()
        pieces = self._pieces(response)
        try:
            async for piece in pieces:
                content += piece
                if len(content) > bytes_max:
                    raise ServiceError("backend_error", f"{self.settings.title} answered with more than it may.")
        finally:
            await response.aclose()
        return bytes(content)

    # Operations that are passed on

    def _relay(self, operation: Operation, passed: Passed) -> Handler:
        path = passed.path or operation.path
        is_typed = operation.id not in ("chat.completions.create", "completions.create")

        async def relay(request: Request) -> Answer:
            body = {} if operation.is_look else self._body(request, passed.request)
            target = path.replace("{" + "id}", quote(request.id, safe=""))
            response = await self._open(operation.method, target, request, **body)
            if not response.is_success:
                await self._refuse(response)
            model, kind = request.body.get("model"), media_type(response)

            def restore(value: Json) -> Json:
                has_model = isinstance(model, str) and isinstance(value.get("model"), str)
                return passed.response.apply({**value, "model": model} if has_model else value)

            if kind == JSON:
                return restore(self._object(await self._whole(response, self.settings.answer_bytes_max)))
            if kind == EVENTS:
                return Events(self._events(response, restore, is_typed), is_typed)
            if kind == "text/html":
                # What no operation answers: a login or error page of whatever stands in front of the server. But
                # whisper.cpp's server calls its plain text so.
                text = await self._whole(response, self.settings.answer_bytes_max)
                if "text/plain" in operation.answers and not text.lstrip().startswith(b"<"):
                    return Media(text, "text/plain; charset=utf-8")
                raise ServiceError("backend_error", f"{self.settings.title} answered with a page for people.")
            return Media(self._pieces(response), response.headers.get("content-type", "application/octet-stream"))

        return relay

    def _body(self, request: Request, map_: FieldMap) -> Json:
        """The request in the server's words, as arguments for httpx."""
        asked = request.body.get("model")
        named = {"model": self._their_name(asked)} if asked is not None else {}
        theirs = map_.apply({**request.body, **named})
        if not request.is_form:
            return as_json(theirs)
        # Fields are files without a name: httpx makes another kind of form of fields alone.
        fields = [(name, (None, text)) for field, value in theirs.items() for name, text in texts(field, value)]
        files = [(one.name, (one.filename, one.content, one.content_type or None)) for one in request.files]
        return {"files": [*fields, *files]}

    def _their_name(self, asked: Any) -> Any:
        found = (model for model in self.settings.models if asked in (model.id, *model.aliases))
        return next((model.called or model.id for model in found), asked)

    async def _events(self, response: httpx.Response, restore: Any, is_typed: bool) -> AsyncIterator[Json]:
        title, is_done, last = self.settings.title, False, ""
        async for name, data in read_events(self._pieces(response), self.settings.answer_bytes_max):
            if data == b"[DONE]":
                is_done = True
                continue
            event = self._object(data)
            if name == b"error" or isinstance(event.get("error"), dict):
                note = data[:MESSAGE_LENGTH_MAX].decode("utf-8", "replace")
                raise ServiceError("backend_error", f"{title} failed in its answer.", note=note)
            last = str(event.get("type", ""))
            yield restore(event)
        if not is_done and not (is_typed and last.endswith((".done", ".completed", ".incomplete", "message_stop"))):
            raise ServiceError("backend_error", f"{title} broke off in its answer.")

    def _parsed(self, content: bytes) -> Any:
        try:
            return parse(content)
        except ValueError:
            raise ServiceError("backend_error", f"{self.settings.title} answered with no JSON.") from None

    def _object(self, content: bytes) -> Json:
        value = self._parsed(content)
        if not isinstance(value, dict):
            raise ServiceError("backend_error", f"{self.settings.title} answered with no JSON object.")
        return value

    async def _refuse(self, response: httpx.Response) -> NoReturn:
        """What a status that says no means to the client."""
        title, status = self.settings.title, response.status_code
        content = (await self._whole(response, REFUSAL_BYTES_MAX)).decode("utf-8", "replace")
        note = f"{status}: {content[:MESSAGE_LENGTH_MAX]}"
        if status in OF_THE_REQUEST:
            error = their_error(content)
            if error is not None:
                raise TheirRefusal(status, error)
            code = "not_found" if status == 404 else "invalid_request"
            raise ServiceError(code, f"{title} does not take this request; the service's log says why.", note=note)
        if status in (401, 403):
            raise ServiceError("backend_error", f"{title} does not accept the key of this service.", note=note)
        if status in (429, 503):
            code = "rate_limit_exceeded" if status == 429 else "not_ready"
            said = response.headers.get("retry-after", "")
            seconds = int(said) if re.fullmatch(r"[1-9]\d{0,3}", said) else 5
            raise ServiceError(code, f"{title} has no room now. Try again.", retry_after=seconds, note=note)
        raise ServiceError("backend_error", f"{title} failed with status {status}.", note=note)

    # Servers that speak otherwise

    def work(self, prints: str) -> Work:
        """The work of the domain, asked for as `work` of `upstream.yaml` says."""
        asked_for = self.settings.work
        if asked_for is None:
            raise ValueError("upstream.yaml has no `work`")
        is_media = prints in ("bytes", "pieces")

        async def ask(asked: Asked) -> Any:
            body = fill(asked_for.request, asked, self._their_name(asked.model))
            response = await self._open("POST", asked_for.path, None, **as_json(body))
            if not response.is_success:
                await self._refuse(response)
            content = await self._whole(response, self.settings.answer_bytes_max)
            if media_type(response) != JSON:
                if is_media:
                    return content
                if prints in ("text", "any"):
                    return content.decode("utf-8", "replace")
            result = pick(self._parsed(content), asked_for.result)
            if result is MISSING:
                raise bad_result(f"at `{asked_for.result}` of the server's answer")
            if is_media and isinstance(result, str):
                try:
                    return base64.b64decode(re.sub("^data:[^,]*,", "", result))
                except ValueError:
                    raise bad_result(f"base64 at `{asked_for.result}` of the server's answer") from None
            return result

        return ask


def as_json(body: Any) -> Json:
    """A JSON body, as arguments for `_open`. httpx's own refuses half a surrogate pair, which clients do send."""
    return {"content": encode(body), "headers": {"content-type": JSON}}


def texts(name: str, value: Any) -> list[tuple[str, str]]:
    """A field of a form, or each of a list of them."""
    if isinstance(value, list):
        return [(f"{name}[]", str(one)) for one in value]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value))]


def media_type(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    return JSON if re.fullmatch(r"application/(?:json|[a-z0-9.-]+\+json)", kind) else str(kind)


def their_error(content: str) -> Json | None:
    try:
        error = json.loads(content)["error"]
        message = error["message"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(message, str) or message == "":
        return None
    others = {name: error.get(name) if isinstance(error.get(name), str) else None for name in ("param", "code")}
    kind = error.get("type") if isinstance(error.get("type"), str) else "invalid_request_error"
    return {"message": message[:MESSAGE_LENGTH_MAX], "type": kind, **others}


async def read_events(pieces: AsyncIterator[bytes], bytes_max: int) -> AsyncIterator[tuple[bytes, bytes]]:
    """Name and data of each event."""
    rest, name = b"", b""
    data: list[bytes] = []
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) + sum(len(one) for one in data) > bytes_max:
            raise ServiceError("backend_error", "The server behind this service sent an event that is too long.")
        for line in (one.removesuffix(b"\r") for one in lines):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value
            elif field == b"data":
                data.append(value)
            elif line == b"":
                if data:
                    yield name, b"\n".join(data)
                name, data = b"", []


def resolve(reference: str, variables: Mapping[str, str]) -> str:
    """The key behind `env:NAME` or `file:/PATH`."""
    if reference == "":
        return ""
    kind, _, place = reference.partition(":")
    try:
        key = (variables.get(place, "") if kind == "env" else Path(place).read_text(encoding="utf-8")).strip()
    except OSError:
        key = ""
    if key == "":
        raise ValueError(f"upstream.yaml: key: there is nothing at {reference}")
    return key
