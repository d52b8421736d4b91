"""Runs a program of this service for the length of one test, as it will be run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

HERE = Path(__file__).parent
START_SECONDS = 60


@contextmanager
def started(program: str, **variables: str) -> Iterator[httpx.Client]:
    """A client of the program, once it is ready. Ends the program, and fails unless it ends in order."""
    with TemporaryDirectory() as folder:
        run_file = Path(folder, "run.json")
        own = {"NEXUS_HOST": "127.0.0.1", "NEXUS_PORT": "0", "NEXUS_RUN_FILE": str(run_file), "NEXUS_CONTROL_URL": ""}
        environment = {**os.environ, "NEXUS_LOG_LEVEL": "error", **own, **variables}
        process = subprocess.Popen([sys.executable, program], cwd=HERE, env=environment)
        client: httpx.Client | None = None
        try:
            client = client_of(process, run_file)
            yield client
        finally:
            if client is not None:
                client.close()
            process.terminate()
            ended = process.wait(timeout=START_SECONDS)
        assert ended == 0, f"{program} ended with {ended}"


def client_of(process: subprocess.Popen[bytes], run_file: Path) -> httpx.Client:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
        if run_file.exists():
            client = httpx.Client(base_url=json.loads(run_file.read_text())["url"], timeout=START_SECONDS)
            if client.get("/readyz").status_code == 200:
                return client
            client.close()
    raise AssertionError("The program does not get ready.")
