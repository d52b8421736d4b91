import asyncio
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

from nexus_command import Command, Program
from nexus_kit import ServiceError
from nexus_work import Asked

ASKED = Asked(model="{{name}}", body={"input": "Hi"})


def program(script: str, **settings: object) -> Program:
    command = Command.model_validate({"command": [sys.executable, "-c", script], **settings})
    return Program(command, Path(tempfile.gettempdir()), {**os.environ, "SECRET": "s"})


class CommandTest(unittest.IsolatedAsyncioTestCase):
    async def test_gives_the_request_and_takes_what_is_printed(self) -> None:
        echo = program("import sys; print(sys.stdin.read())").work("json")
        self.assertEqual(await echo(ASKED), {"model": "{{name}}", "body": {"input": "Hi"}})

    async def test_passes_on_no_variables_but_the_usual(self) -> None:
        names = await program("import json, os; print(json.dumps([*os.environ]))").work("json")(ASKED)
        self.assertIn("PATH", names)
        self.assertNotIn("SECRET", names)

    async def test_lets_a_program_refuse_its_request(self) -> None:
        with self.assertRaisesRegex(ServiceError, "No such voice.") as refused:
            await program("import sys; print('No such voice.', file=sys.stderr); sys.exit(65)").work("bytes")(ASKED)
        self.assertEqual(refused.exception.status_code, 400)

    async def test_says_nothing_to_clients_of_a_program_that_fails(self) -> None:
        with self.assertRaises(ServiceError) as failed:
            await program("raise OSError('private')").work("bytes")(ASKED)
        self.assertEqual(failed.exception.code, "backend_error")
        self.assertNotIn("private", failed.exception.message)
        self.assertIn("private", failed.exception.note)

    async def test_takes_no_json_that_cannot_be_said_again_and_misses_a_program_that_is_gone(self) -> None:
        for printed in ("NaN", "1e999", "[" * 100_000):
            with self.assertRaises(ServiceError) as failed:
                await program(f"print({printed!r})").work("json")(ASKED)
            self.assertEqual(failed.exception.code, "backend_error")
        gone = Command.model_validate({"command": ["./no-such-program"]})
        with self.assertRaises(ServiceError) as missing:
            await Program(gone, Path(tempfile.gettempdir()), {}).work("json")(ASKED)
        self.assertEqual(missing.exception.code, "backend_error")

    async def test_ends_a_program_that_takes_too_long_or_prints_too_much(self) -> None:
        with self.assertRaisesRegex(ServiceError, "longer than 0.2 s"):
            await program("import time; time.sleep(60)", timeoutSeconds=0.2).work("bytes")(ASKED)
        with self.assertRaises(ServiceError) as failed:
            await program("while True: print('x' * 1000)", outputBytesMax=10_000).work("bytes")(ASKED)
        self.assertEqual(failed.exception.note, "it printed more than it may")

    async def test_ends_the_whole_group_with_its_request(self) -> None:
        child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        pieces = program(script).work("pieces")(ASKED)
        grandchild = int(await anext(pieces))
        since = time.monotonic()
        await pieces.aclose()
        self.assertLess(time.monotonic() - since, 1)
        while is_running(grandchild):
            self.assertLess(time.monotonic() - since, 5)
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    unittest.main()
