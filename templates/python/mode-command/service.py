"""The program that command.yaml names, as a service."""

from pathlib import Path

from domain import DOMAIN, MODALITIES, PRINTS, handlers
from nexus_command import Program
from nexus_kit import Service, run


def create() -> Service:
    program = Program.read(Path(__file__).with_name("command.yaml"))
    return Service(
        name="{{name}}",
        version="0.1.0",
        description="{{title}}",
        backend={"name": program.command.command[0]},
        domains=[DOMAIN],
        modalities=MODALITIES,
        models=lambda: [{"id": "{{name}}", "domains": [DOMAIN], "state": "loaded"}],
        handlers=handlers(program.work(PRINTS)),
        max_concurrency=program.command.concurrency,
        start=program.start,
    )


if __name__ == "__main__":
    run(create(), port={{port}})
