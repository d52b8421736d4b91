"""What this service says of itself, and who does its work."""

from domain import DOMAIN, MODALITIES, handlers
from nexus_kit import Service, run
from work import work


def create() -> Service:
    return Service(
        name="{{name}}",
        version="0.1.0",
        description="{{title}}",
        backend={"name": "{{name}}", "version": "0.1.0"},
        domains=[DOMAIN],
        modalities=MODALITIES,
        models=lambda: [{"id": "{{name}}", "domains": [DOMAIN], "state": "loaded"}],
        handlers=handlers(work),
        max_concurrency=4,
    )


if __name__ == "__main__":
    run(create(), port={{port}})
