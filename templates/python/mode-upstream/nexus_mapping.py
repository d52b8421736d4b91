"""How the fields of one JSON object become those of another."""

from __future__ import annotations

import base64
import copy
import re
from typing import Annotated, Any

from pydantic import Field

from nexus_kit import Json
from nexus_settings import Settings
from nexus_work import Asked

FieldPath = Annotated[str, Field(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]
#: What `take` and `pick` give where there is nothing.
MISSING: Any = object()


class FieldMap(Settings):
    """How the fields of one JSON object become those of another; `a.b` is the field `b` of the field `a`."""

    rename: dict[FieldPath, FieldPath] = Field(default_factory=dict)
    drop: list[FieldPath] = Field(default_factory=list)
    set: dict[FieldPath, Any] = Field(default_factory=dict)

    def apply(self, fields: Json) -> Json:
        """A mapped copy: renamed, then dropped, then set."""
        mapped = copy.deepcopy(fields)
        for ours, theirs in self.rename.items():
            taken = take(mapped, ours.split("."))
            if taken is not MISSING:
                put(mapped, theirs.split("."), taken)
        for name in self.drop:
            take(mapped, name.split("."))
        for name, fixed in self.set.items():
            put(mapped, name.split("."), copy.deepcopy(fixed))
        return mapped


def take(fields: Json, path: list[str]) -> Any:
    name, *rest = path
    if rest:
        inner = fields.get(name)
        return take(inner, rest) if isinstance(inner, dict) else MISSING
    return fields.pop(name, MISSING)


def put(fields: Json, path: list[str], value: Any) -> None:
    name, *rest = path
    if not rest:
        fields[name] = value
        return
    if not isinstance(fields.get(name), dict):
        fields[name] = {}
    put(fields[name], rest, value)


def pick(value: Any, path: str) -> Any:
    """What stands under a path; `.` is everything, and numbers count in lists."""
    for name in [] if path == "." else path.split("."):
        if isinstance(value, list):
            value = value[int(name)] if name.isdigit() and int(name) < len(value) else MISSING
        else:
            value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def fill(template: Any, asked: Asked, model: Any) -> Any:
    """`$name` becomes the field of the request, wherever it stands alone; bytes become base64."""
    if isinstance(template, str) and re.fullmatch(r"\$[a-z]+", template):
        value = model if template == "$model" else getattr(asked, template[1:], None)
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value
    if isinstance(template, list):
        return [fill(one, asked, model) for one in template]
    if isinstance(template, dict):
        return {name: fill(one, asked, model) for name, one in template.items()}
    return template
