"""What `nexus_kit.py` promises, over real sockets. Run with the folder `all` on PYTHONPATH."""

import asyncio
import contextlib
import json
import logging
import tempfile
import threading
import time
import unittest
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import nexus_kit
import uvicorn
from fastapi import FastAPI, Response
from nexus_kit import (
    Answer,
    Environment,
    Events,
    Handler,
    Json,
    Log,
    Media,
    Operation,
    Registration,
    Request,
    Running,
    Service,
    ServiceError,
    create_app,
)
from nexus_work import Asked, call

ASK = Operation("ask", "/ask", streams=True)
BODY = {"model": "m"}
ENVIRONMENT = Environment.read({"NEXUS_LOG_LEVEL": "silent"}, "kit")


def service(handler: Handler, **fields: Any) -> Service:
    models = [{"id": "m", "aliases": ["other"], "domains": ["chat"]}]
    given: Json = {"version": "1", "domains": ["chat"], "models": lambda: models, "handlers": {ASK: handler}}
    return Service(name="kit", **{**given, **fields})


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The application behind a socket, and a client of it."""
    config = uvicorn.Config(app, port=0, http=nexus_kit.Protocol, ws="none", log_config=None)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        await until(lambda: app.state.running.context.state()[0] == "ready")
        yield client
    server.should_exit = True
    await serving


async def until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


class RequestTest(unittest.IsolatedAsyncioTestCase):
    async def test_lets_few_in_and_few_wait_and_refuses_the_next(self) -> None:
        gate = asyncio.Event()

        async def wait(_: Request) -> Answer:
            await gate.wait()
            return {"ok": True}

        app = create_app(service(wait, max_concurrency=1, queue_max=1), ENVIRONMENT)
        running: Running = app.state.running
        async with served(app) as client:
            first = asyncio.create_task(client.post("/ask", json=BODY))
            await until(lambda: running.active == 1)
            second = asyncio.create_task(client.post("/ask", json=BODY))
            await until(lambda: running.waiting == 1)
            refused = await client.post("/ask", json=BODY)
            self.assertEqual((refused.status_code, refused.headers["retry-after"]), (429, "1"))
            self.assertEqual(refused.json()["error"]["code"], "queue_full")
            second.cancel()
            await until(lambda: running.waiting == 0)
            gate.set()
            self.assertEqual((await first).json(), {"ok": True})
            await until(lambda: running.active == 0)

    async def test_holds_the_slot_of_a_client_that_left_until_its_thread_has_ended(self) -> None:
        ended = threading.Event()

        def work(asked: Asked) -> None:
            asked.cancelled.wait(5)
            time.sleep(0.1)
            ended.set()

        async def in_thread(_: Request) -> Answer:
            await call(work, Asked(model="m", body={}))
            return {}

        app = create_app(service(in_thread), ENVIRONMENT)
        running: Running = app.state.running
        async with served(app) as client:
            asking = asyncio.create_task(client.post("/ask", json=BODY))
            await until(lambda: running.active == 1)
            asking.cancel()
            await until(lambda: running.active == 0)
            self.assertTrue(ended.is_set())

    async def test_closes_what_is_streamed_to_a_client_that_left(self) -> None:
        closed = asyncio.Event()

        async def stream(_: Request) -> Answer:
            async def items() -> AsyncIterator[Json]:
                try:
                    while True:
                        yield {"n": 1}
                        await asyncio.sleep(0.001)
                finally:
                    closed.set()

            return Events(items())

        async with served(create_app(service(stream), ENVIRONMENT)) as client:
            async with client.stream("POST", "/ask", json=BODY) as answer:
                await anext(answer.aiter_bytes())
            await asyncio.wait_for(closed.wait(), 1)

    async def test_says_what_fails_with_a_status_before_the_first_event_and_in_an_event_after_it(self) -> None:
        async def stream(request: Request) -> Answer:
            async def items() -> AsyncIterator[Json]:
                if request.body.get("late"):
                    yield {"n": 1}
                raise ServiceError("stall_timeout", "It stopped.")

            return Events(items())

        async with served(create_app(service(stream), ENVIRONMENT)) as client:
            early = await client.post("/ask", json=BODY)
            self.assertEqual((early.status_code, early.json()["error"]["code"]), (504, "stall_timeout"))
            late = await client.post("/ask", json={**BODY, "late": True})
            self.assertEqual(late.status_code, 200)
            *_, name, data = late.text.strip().split("\n")
            self.assertEqual(name, "event: error")
            self.assertEqual(json.loads(data.removeprefix("data: "))["error"]["message"], "It stopped.")
            self.assertNotIn("[DONE]", late.text)

    async def test_tells_nothing_of_a_defect_and_breaks_media_off(self) -> None:
        async def fail(request: Request) -> Answer:
            async def pieces() -> AsyncIterator[bytes]:
                yield b"half"
                raise OSError("private")

            if request.body.get("media"):
                return Media(pieces(), "audio/wav")
            raise OSError("private")

        async with served(create_app(service(fail), ENVIRONMENT)) as client:
            answer = await client.post("/ask", json=BODY)
            self.assertEqual(answer.status_code, 500)
            self.assertNotIn("private", answer.text)
            with self.assertRaises(httpx.RemoteProtocolError):
                await client.post("/ask", json={**BODY, "media": True})

    async def test_shows_that_a_silent_stream_lives(self) -> None:
        async def stream(_: Request) -> Answer:
            async def items() -> AsyncIterator[Json]:
                await asyncio.sleep(0.2)
                yield {"n": 1}

            return Events(items())

        usual, nexus_kit.HEARTBEAT_S = nexus_kit.HEARTBEAT_S, 0.05
        self.addCleanup(setattr, nexus_kit, "HEARTBEAT_S", usual)
        async with served(create_app(service(stream), ENVIRONMENT)) as client:
            text = (await client.post("/ask", json=BODY)).text
            self.assertTrue(text.startswith(": waiting\n\n"))
            self.assertTrue(text.endswith('data: {"n":1}\n\ndata: [DONE]\n\n'))

    async def test_refuses_what_it_cannot_read(self) -> None:
        async def answer(request: Request) -> Answer:
            return request.body

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 1000

        kind = {"content-type": "application/json"}
        async with served(create_app(service(answer, body_bytes_max=10_000), ENVIRONMENT)) as client:
            cases: dict[int, Any] = {
                413: {"content": pieces(), "headers": kind},
                415: {"content": b"{}", "headers": {"content-type": "text/plain"}},
                400: {"content": b'{"a": NaN}', "headers": kind},
                404: {"json": {"model": "n"}},
            }
            for status, asked in cases.items():
                self.assertEqual((await client.post("/ask", **asked)).status_code, status)
            self.assertEqual((await client.post("/ask", json={"model": "other"})).status_code, 200)
            half = await client.post("/ask", content=b'{"model": "m", "half": "\\ud800"}', headers=kind)
            self.assertEqual(half.json()["half"], "?")

    async def test_reads_no_number_that_is_none_and_takes_no_id_that_leads_elsewhere(self) -> None:
        async def tell(request: Request) -> Answer:
            return {"id": request.id}

        find = Operation("find", "/things/{id}", method="GET", has_model=False, is_look=True)
        async with served(create_app(service(tell, handlers={ASK: tell, find: tell}), ENVIRONMENT)) as client:
            for number in ("NaN", "Infinity", "1e999", "-1e999"):
                content = f'{{"model": "m", "x": {number}}}'.encode()
                answer = await client.post("/ask", content=content, headers={"content-type": "application/json"})
                self.assertEqual((answer.status_code, answer.json()["error"]["code"]), (400, "invalid_json"))
            for name, status in {"%2e%2e": 404, "%2e": 404, "a": 200, "a..b": 200}.items():
                reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
                writer.write(f"GET /things/{name} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
                self.assertIn(f" {status} ".encode(), (await reader.read()).split(b"\r\n")[0], name)
                writer.close()

    async def test_refuses_a_body_of_two_lengths_and_whatever_follows_it(self) -> None:
        async def tell(_: Request) -> Answer:
            return {}

        async with served(create_app(service(tell), ENVIRONMENT)) as client:
            reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
            lengths = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            writer.write(b"POST /ask HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n" + lengths)
            writer.write(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
            async with asyncio.timeout(3):
                answer = await reader.read()
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "))
            self.assertEqual(answer.count(b"HTTP/1.1"), 1)
            writer.close()

    async def test_gives_up_whoever_sends_no_head(self) -> None:
        async def tell(_: Request) -> Answer:
            await asyncio.sleep(0.4)
            return {}

        with mock.patch.object(nexus_kit, "HEAD_S", 0.2):
            async with served(create_app(service(tell), ENVIRONMENT)) as client:
                for sent in (b"", b"GET /health HTTP/1.1\r\nhost:"):
                    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
                    body = b'{"model":"m"}'
                    head = f"host: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                    if sent:  # A request may take its time, and the next head of its connection may not.
                        writer.write(b"POST /ask HTTP/1.1\r\n" + head + body)
                        self.assertIn(b" 200 ", (await reader.readuntil(b"{}")).split(b"\r\n")[0])
                    writer.write(sent)
                    async with asyncio.timeout(3):
                        self.assertEqual(await reader.read(), b"")
                    writer.close()

    async def test_serves_routes_that_are_added_as_its_own(self) -> None:
        async def answer(_: Request) -> Answer:
            return {}

        app = create_app(service(answer), ENVIRONMENT)

        @app.post("/own")
        async def own(body: dict[str, int]) -> dict[str, int]:
            return body

        async with served(app) as client:
            self.assertEqual((await client.post("/own", json={"a": 1})).json(), {"a": 1})
            wrong = await client.post("/own", json={"a": "b"}, headers={"x-request-id": "own-1"})
            self.assertEqual((wrong.status_code, wrong.json()["error"]["param"]), (400, "a"))
            self.assertEqual(wrong.headers["x-request-id"], "own-1")

    async def test_drains(self) -> None:
        async def wait(_: Request) -> Answer:
            await asyncio.sleep(60)
            return {}

        app = create_app(service(wait, drain_s=0.1), ENVIRONMENT)
        running: Running = app.state.running
        async with served(app) as client:
            asking = asyncio.create_task(client.post("/ask", json=BODY))
            await until(lambda: running.active == 1)
            draining = asyncio.create_task(running.drain(None))
            await until(lambda: running.is_refusing)
            refused = await client.post("/ask", json=BODY)
            self.assertEqual((refused.status_code, refused.json()["error"]["code"]), (503, "draining"))
            self.assertEqual((await asking).json()["error"]["code"], "draining")
            await draining


class RegistrationTest(unittest.IsolatedAsyncioTestCase):
    async def test_renews_and_registers_again_when_its_lease_was_lost_or_the_registry_was_away(self) -> None:
        usual, nexus_kit.LEASE_MS = nexus_kit.LEASE_MS, 60
        self.addCleanup(setattr, nexus_kit, "LEASE_MS", usual)
        calls: list[str] = []
        away = [True]
        registry = FastAPI()

        @registry.post("/v1/nexus/registry/instances", status_code=201)
        async def register(body: Json, response: Response) -> Json:
            calls.append(f"register {body['record']['state']}")
            if away[0]:
                response.status_code = 503
            return {"lease": {"id": f"lease-{len(calls)}", "ttl_ms": body["ttl_ms"]}}

        @registry.put("/v1/nexus/registry/leases/{lease}", status_code=204)
        async def renew(lease: str, body: Json, response: Response) -> None:
            calls.append("write" if body else "renew")
            response.status_code = 410 if calls.count("renew") == 2 else 204

        @registry.delete("/v1/nexus/registry/leases/{lease}", status_code=204)
        async def deregister(lease: str) -> None:
            calls.append("deregister")

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "control.sock")
            config = uvicorn.Config(registry, uds=str(path), log_config=None)
            server = uvicorn.Server(config)
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
            environment = Environment.read({"NEXUS_CONTROL_URL": f"unix:{path}", "NEXUS_LOG_LEVEL": "silent"}, "kit")
            registration = Registration(environment, lambda: {"state": "ready"}, Log(environment))
            await asyncio.sleep(0.05)  # Nobody is there yet.
            serving = asyncio.create_task(server.serve())
            await until(lambda: "register ready" in calls)
            away[0] = False
            await until(lambda: calls.count("renew") > 2)
            first_renewal = calls.index("renew")
            self.assertEqual(calls[first_renewal : first_renewal + 3], ["renew", "renew", "register ready"])
            registration.changed()
            await until(lambda: "write" in calls)
            await registration.stop()
            self.assertEqual(calls[-1], "deregister")
            server.should_exit = True
            await serving


logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

if __name__ == "__main__":
    unittest.main()
