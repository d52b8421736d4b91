"""The server that upstream.yaml describes, as a service."""

from pathlib import Path

from domain import MODALITIES, PRINTS, handlers
from nexus_kit import Service, run
from nexus_upstream import Upstream


def create() -> Service:
    upstream = Upstream.read(Path(__file__).with_name("upstream.yaml"))
    settings = upstream.settings
    return Service(
        name="{{name}}",
        version="0.1.0",
        description="{{title}}",
        backend={"name": settings.title},
        domains=settings.domains,
        modalities=MODALITIES,
        models=upstream.models,
        handlers=upstream.handlers() if settings.work is None else handlers(upstream.work(PRINTS)),
        max_concurrency=settings.concurrency,
        start=upstream.start,
        stop=upstream.stop,
    )


if __name__ == "__main__":
    run(create(), port={{port}})
