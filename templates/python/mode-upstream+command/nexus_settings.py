"""Reads the YAML files that describe what does the work."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class Settings(BaseModel):
    """Fields are written in camelCase in files; those that nobody knows are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, strict=True)


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S], path: Path) -> S:
    """Raises ValueError that names the fields at fault."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is no YAML: {error}") from None
    except ValidationError as invalid:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in invalid.errors()[:5]]
        raise ValueError(f"{path.name}: {'; '.join(problems)}") from None
