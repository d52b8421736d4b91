"""The service as the tests run it."""

from contextlib import AbstractContextManager

import httpx

from started import started


def trial() -> AbstractContextManager[httpx.Client]:
    return started("service.py")
