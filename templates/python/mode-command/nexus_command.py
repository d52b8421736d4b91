"""A service whose work is a program that runs once for each request, as `command.yaml` describes it."""

from __future__ import annotations

import asyncio
import base64
import codecs
import contextlib
import dataclasses
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from nexus_kit import Context, ServiceError, closing, encode, parse
from nexus_settings import Settings, read_settings
from nexus_work import Asked, Work, bad_result

#: What no program can do without.
USUAL_VARIABLES = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
#: Programs that refuse their input end with it: `EX_DATAERR` of sysexits.h.
REFUSED = 65
#: A program that is told to end is killed when it takes longer: a cancelled request has a second in all.
KILL_S = 0.5
#: Of stderr: its end says what was wrong.
COMPLAINT_BYTES_MAX, MESSAGE_LENGTH_MAX = 4096, 500
PIECE_BYTES = 65_536

Text = Annotated[str, Field(min_length=1)]


class Command(Settings):
    """`command.yaml`."""

    command: list[Text] = Field(min_length=1)
    timeout_seconds: float = Field(60, gt=0, le=86_400)
    output_bytes_max: int = Field(64 * 1024 * 1024, gt=0, le=1024**3)
    concurrency: int = Field(2, gt=0, le=1024)
    environment: dict[str, str] = Field(default_factory=dict)
    pass_environment: list[str] = Field(default_factory=list)


class Program:
    """What is run for a request, and its bounds."""

    def __init__(self, command: Command, folder: Path, variables: Mapping[str, str]) -> None:
        self.command, self.folder = command, folder
        names = (*USUAL_VARIABLES, *command.pass_environment)
        self.environment = {name: variables[name] for name in names if name in variables} | command.environment
        first, *rest = command.command
        # A service is its own Python: another one on the PATH may lack what it needs.
        self.arguments = [sys.executable if first in ("python", "python3") else first, *rest]

    @staticmethod
    def read(path: Path) -> Program:
        """The program of a `command.yaml`; it runs in the file's folder. Raises ValueError."""
        return Program(read_settings(Command, path), path.parent, os.environ)

    async def start(self, _: Context) -> None:
        """The service is not ready while its program is not there."""
        file = self.arguments[0]
        path = str(self.folder / file) if "/" in file else file
        if shutil.which(path, path=self.environment.get("PATH")) is None:
            raise ServiceError("not_ready", f"The program {file} is not there. Install it, or change command.yaml.")

    def work(self, prints: str) -> Work:
        """The work, by what the program prints: text, bytes, pieces of them, or JSON."""
        by_kind: dict[str, Work] = {"text": self._text, "pieces": self._run, "bytes": self._collect}
        return by_kind.get(prints, self._json if prints == "json" else self._any)

    async def _text(self, asked: Asked) -> AsyncIterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = self._run(asked)
        async with closing(pieces):
            async for piece in pieces:
                yield decoder.decode(piece)
        if rest := decoder.decode(b"", final=True):
            yield rest

    async def _collect(self, asked: Asked) -> bytes:
        return b"".join([piece async for piece in self._run(asked)])

    async def _json(self, asked: Asked) -> Any:
        try:
            return parse(await self._collect(asked))
        except ValueError:
            raise bad_result("JSON on stdout") from None

    async def _any(self, asked: Asked) -> Any:
        """A tool may say what it has to say in plain words."""
        printed = await self._collect(asked)
        try:
            return parse(printed)
        except ValueError:
            return printed.decode("utf-8", "replace").rstrip()

    async def _run(self, asked: Asked) -> AsyncIterator[bytes]:
        """Runs the program in a process group of its own and yields what it prints. When nobody reads any more, time
        runs out or there is too much of it, the whole group is ended; the generator ends when the program has."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.arguments,
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise failed(str(error)) from None
        life = Life(process, to_json(asked))
        try:
            async for piece in life.output(self.command):
                yield piece
        finally:
            await life.end()
        life.raise_for_status()


class Life:
    """A program from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, given: bytes) -> None:
        self.process, self.complaint = process, b""
        self._tasks = [asyncio.create_task(one) for one in (self._feed(given), self._listen(), self._bury())]

    async def output(self, command: Command) -> AsyncIterator[bytes]:
        assert self.process.stdout is not None
        deadline, length = time.monotonic() + command.timeout_seconds, 0
        while True:
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    piece = await self.process.stdout.read(PIECE_BYTES)
                    if piece == b"":
                        await self._exited()
                        return
            except TimeoutError:
                message = f"The program took longer than {command.timeout_seconds:g} s."
                raise ServiceError("first_token_timeout", message) from None
            length += len(piece)
            if length > command.output_bytes_max:
                raise failed("it printed more than it may")
            yield piece

    async def end(self) -> None:
        """Ends the program and whatever it has started, politely first."""
        try:
            if self.process.returncode is None:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._exited(), KILL_S)
        finally:
            self._signal(signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exited(), KILL_S)
            for task in self._tasks:
                task.cancel()

    def raise_for_status(self) -> None:
        status, said = self.process.returncode, self.complaint.decode("utf-8", "replace").strip()
        last = said.rsplit("\n", 1)[-1][:MESSAGE_LENGTH_MAX]
        if status == REFUSED and last:
            raise ServiceError("invalid_request", last)
        if status != 0:
            raise failed(f"status {status}: {said}")

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    async def _feed(self, given: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.process.stdin.write(given)
            await self.process.stdin.drain()
            self.process.stdin.close()

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        while piece := await self.process.stderr.read(PIECE_BYTES):
            self.complaint = (self.complaint + piece)[-COMPLAINT_BYTES_MAX:]

    async def _bury(self) -> None:
        """What the program has started and not waited for ends with it, and lets go of its pipes."""
        await self._exited()
        self._signal(signal.SIGKILL)

    async def _exited(self) -> None:
        # `Process.wait` waits for the pipes too, in some versions of Python: others may hold those for ever.
        while self.process.returncode is None:
            await asyncio.sleep(0.005)


def failed(note: str) -> ServiceError:
    message = "The program behind this service failed. The service's log says how."
    return ServiceError("backend_error", message, note=note)


def to_json(asked: Asked) -> bytes:
    """The request for the program. Bytes become `{"base64": "..."}`."""
    fields = {field.name: getattr(asked, field.name) for field in dataclasses.fields(asked) if field.repr}
    return encode(
        {
            name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
            for name, value in fields.items()
        }
    )
