"""A small server to wrap, until there is a real one: delete this and work.py then."""

from domain import DOMAIN, MODALITIES, handlers
from nexus_kit import Service, run
from work import work


def create() -> Service:
    return Service(
        name="example",
        version="0.1.0",
        domains=[DOMAIN],
        modalities=MODALITIES,
        models=lambda: [{"id": "example", "domains": [DOMAIN], "state": "loaded"}],
        handlers=handlers(work),
        max_concurrency=8,
    )


if __name__ == "__main__":
    run(create(), port=9000)
