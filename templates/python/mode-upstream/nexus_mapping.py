"""How the fields of one JSON object become those of another."""

from __future__ import annotations

import base64
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
        mapped = dict(fields)
        for ours, theirs in self.rename.items():
            taken = take(mapped, ours.split("."))
            if taken is not MISSING:
                put(mapped, theirs.split("."), taken)
        for name in self.drop:
            take(mapped, name.split("."))
        for name, fixed in self.set.items():
            put(mapped, name.split("."), fixed)
        return mapped


def take(fields: Json, path: list[str]) -> Any:
    """Removes a field, of copies of what is on the way to it: the objects that were given stay as they are."""
    name, *rest = path
    if not rest:
        return fields.pop(name, MISSING)
    if not isinstance(fields.get(name), dict):
        return MISSING
    fields[name] = dict(fields[name])
    return take(fields[name], rest)


def put(fields: Json, path: list[str], value: Any) -> None:
    name, *rest = path
    if not rest:
        fields[name] = value
        return
    inner = fields.get(name)
    fields[name] = dict(inner) if isinstance(inner, dict) else {}
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
