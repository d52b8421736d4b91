import json
import unittest
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
from fastapi import FastAPI, Response
from fastapi import Request as HttpRequest
from fastapi.responses import StreamingResponse

from nexus_kit import Context, Environment, Events, File, Log, Media, Request, ServiceError
from nexus_mapping import FieldMap, fill, pick
from nexus_operations import OPERATIONS
from nexus_upstream import Upstream, Wrapped
from nexus_work import Asked

EMBED, CHAT = OPERATIONS["embeddings.create"], OPERATIONS["chat.completions.create"]
ASKED = Request({"model": "ours", "input": "Hi"}, [], False, "", {}, "request-1", "00-trace")
MODELS = [{"id": "ours", "as": "theirs"}]


def wrapped(**settings: Any) -> Upstream:
    given = {"url": "http://server", "domains": ["chat"], "models": MODELS, "operations": {"embeddings.create": {}}}
    return Upstream(Wrapped.model_validate({**given, **settings}), {})


def behind(upstream: Upstream, server: FastAPI) -> Upstream:
    """Lets it ask an application instead of an address."""
    upstream._client = httpx.AsyncClient(transport=httpx.ASGITransport(server))
    return upstream


class UpstreamTest(unittest.IsolatedAsyncioTestCase):
    async def test_maps_path_model_and_fields_and_back(self) -> None:
        server, seen = FastAPI(), []

        @server.post("/v2/vectors")
        async def vectors(body: dict[str, Any]) -> dict[str, Any]:
            seen.append(body)
            return {"model": "theirs", "output": [1, 2]}

        passed = {
            "path": "/v2/vectors",
            "request": {"rename": {"input": "options.texts"}, "set": {"options.fast": True}},
            "response": {"rename": {"output": "data"}},
        }
        upstream = behind(wrapped(operations={"embeddings.create": passed}), server)
        answer = await upstream.handlers()[EMBED](ASKED)
        self.assertEqual(seen, [{"model": "theirs", "options": {"texts": "Hi", "fast": True}}])
        self.assertEqual(answer, {"model": "ours", "data": [1, 2]})

    async def test_streams_events_and_knows_when_they_were_cut(self) -> None:
        for ending, is_whole in ((b"data: [DONE]\n\n", True), (b"", False)):
            server = FastAPI()

            @server.post("/v1/chat/completions")
            async def chat(ending: bytes = ending) -> StreamingResponse:
                async def events() -> AsyncIterator[bytes]:
                    yield b'data: {"model":"theirs","choi'
                    yield b'ces":[]}\r\n\r\n: a comment\n\n' + ending

                return StreamingResponse(events(), media_type="text/event-stream")

            upstream = behind(wrapped(operations={"chat.completions.create": {}}), server)
            answer = await upstream.handlers()[CHAT](ASKED)
            assert isinstance(answer, Events)
            self.assertEqual(await anext(answer.items), {"model": "ours", "choices": []})
            with self.assertRaises(StopAsyncIteration if is_whole else ServiceError):
                await anext(answer.items)

    async def test_says_what_a_refusal_means_and_nothing_of_the_server(self) -> None:
        expected = {400: "their own words", 401: "does not accept the key", 429: "has no room", 500: "failed"}
        for status, words in expected.items():
            server = FastAPI()

            @server.post("/v1/embeddings")
            async def refuse(status: int = status) -> Response:
                body = json.dumps({"error": {"message": "their own words", "code": "theirs"}})
                return Response(body, status, media_type="application/json")

            with self.assertRaises(ServiceError) as refused:
                await behind(wrapped(), server).handlers()[EMBED](ASKED)
            self.assertIn(words, refused.exception.message)
            self.assertEqual("their own words" in refused.exception.message, status == 400)

    async def test_is_not_ready_without_its_server_and_says_why(self) -> None:
        upstream = wrapped(url="http://127.0.0.1:1", title="The engine")
        context = Context(Log(Environment.read({"NEXUS_LOG_LEVEL": "silent"}, "{{name}}")))
        await upstream.start(context)
        await upstream.stop()
        self.assertEqual(context.report()["checks"]["upstream"]["reason"], "The engine can't be reached")

    async def test_takes_requests_and_answers_that_are_odd(self) -> None:
        server, seen = FastAPI(), []

        @server.post("/v1/embeddings")
        async def answer(request: HttpRequest) -> Response:
            seen.append(await request.body())
            if b"page" in seen[-1]:
                return Response("<script>", media_type="text/html")
            return Response('{"a": NaN}' if b"NaN" in seen[-1] else "{}", media_type="application/json")

        ask = behind(wrapped(), server).handlers()[EMBED]
        nested: Any = "Hi"
        for _ in range(700):
            nested = [nested]
        for body in ({"input": "\ud800"}, {"input": nested}):
            self.assertEqual(await ask(replace(ASKED, body={"model": "ours", **body})), {})
        for words in ("NaN", "a page"):
            with self.assertRaises(ServiceError) as failed:
                await ask(replace(ASKED, body={"model": "ours", "input": words}))
            self.assertEqual(failed.exception.code, "backend_error")

    async def test_takes_text_that_is_called_a_page_for_text(self) -> None:
        server, says = FastAPI(), [" Good morning.", " <html>Log in"]

        @server.post("/inference")
        async def answer() -> Response:
            return Response(says.pop(0), media_type="text/html")

        operation = OPERATIONS["audio.transcriptions.create"]
        settings = {"domains": ["transcription"], "operations": {operation.id: {"path": "/inference"}}}
        handler = behind(wrapped(**settings), server).handlers()[operation]
        form = replace(ASKED, body={"model": "ours"}, files=[File("file", "in.wav", "audio/wav", b"RIFF")], is_form=True)
        self.assertEqual(await handler(form), Media(b" Good morning.", "text/plain; charset=utf-8"))
        with self.assertRaises(ServiceError):
            await handler(form)

    async def test_asks_servers_that_speak_otherwise(self) -> None:
        server = FastAPI()

        @server.post("/api/run")
        async def run(body: dict[str, Any]) -> dict[str, Any]:
            return {"results": [{"text": f"{body['prompt']} by {body['model']}"}]}

        @server.post("/embed")
        async def embed(body: dict[str, Any]) -> list[list[int]]:
            return [[len(text)] for text in body["inputs"]]

        asked = Asked(model="ours", body={"n": 1})
        text = {"path": "/api/run", "request": {"prompt": "$body", "model": "$model"}, "result": "results.0.text"}
        upstream = behind(wrapped(operations={}, work=text), server)
        self.assertEqual(await upstream.work("text")(asked), "{'n': 1} by theirs")
        vectors = {"path": "/embed", "request": {"inputs": ["a", "bc"]}}
        self.assertEqual(await behind(wrapped(operations={}, work=vectors), server).work("json")(asked), [[1], [2]])

    def test_maps_fields(self) -> None:
        mapped = FieldMap.model_validate({"rename": {"a.b": "c", "x": "y.z"}, "drop": ["d"], "set": {"e": 1}})
        self.assertEqual(mapped.apply({"a": {"b": 2}, "d": 3, "x": 4}), {"a": {}, "c": 2, "y": {"z": 4}, "e": 1})
        self.assertEqual(pick({"a": [{"b": 1}]}, "a.0.b"), 1)
        self.assertEqual(fill(["$model", "as $model"], Asked(model="m", body={}), "n"), ["n", "as $model"])


if __name__ == "__main__":
    unittest.main()
