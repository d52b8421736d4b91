"""The service as the tests run it: in front of the example."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from started import started


@contextmanager
def trial() -> Iterator[httpx.Client]:
    with started("example_server.py") as example, started("service.py", UPSTREAM_URL=str(example.base_url)) as client:
        yield client
