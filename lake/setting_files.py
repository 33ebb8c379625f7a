# SPDX-License-Identifier: Apache-2.0
"""Reading settings from TOML files: what is wrong is told with file, key and remedy, and no value is repeated.

A secret may have been put where only the name of one belongs; so no message shows what stands in a file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lake.errors import ConfigurationError
from lake.ways.settings import BUCKET

KEY = "[key]"  # how pydantic marks that it speaks of the key of a mapping, not of its value


class Setting(BaseModel):
    """What all parts of the settings have in common: nothing unknown, nothing changes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


def _lake(root: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", root) and not BUCKET.fullmatch(root):
        raise ValueError("is neither a folder nor s3://bucket/prefix of letters, digits and . _ = -; correct it")
    return root


class OfLake(Setting):
    """Settings of one lake. Nothing is done by them for another one, such as a copy or a demonstration.

    lake : a folder or s3://bucket/prefix.
    """

    lake: Annotated[str, Field(min_length=1), AfterValidator(_lake)]


def placed_lake(settings: OfLake, folder: Path) -> str:
    """The lake of settings, its path taken from `folder` if it is relative."""
    in_bucket = settings.lake.startswith("s3:")
    return settings.lake.rstrip("/") if in_bucket else str(folder / Path(settings.lake).expanduser())


def is_of(settings: OfLake, root: Path | str) -> bool:
    """Whether settings are of the lake at this root."""
    return absolute(settings.lake) == absolute(root)


def absolute(root: Path | str) -> str:
    """A root in the one form in which roots are compared."""
    text = str(root)
    return text.rstrip("/") if text.startswith("s3:") else str(Path(text).resolve())


def other_lake(settings: OfLake, root: Path | str, place: Path | str) -> str:
    """That settings are of another lake than the one at this root; `place` is their file."""
    return f"{place} (lake): is of the lake {settings.lake}, and this one is {root}"


def check_lake(settings: OfLake, root: Path | str, place: Path | str = "the settings") -> None:
    """Raises ConfigurationError if settings are of another lake than the one at this root."""
    if not is_of(settings, root):
        raise ConfigurationError(
            f"{other_lake(settings, root, place)}. Work on that one (--root, SWXLAKE_ROOT), or correct the key."
        )


Settings = TypeVar("Settings", bound=Setting)


def read_setting_file(path: Path, model: type[Settings], variable: str) -> Settings:
    """The settings in a TOML file; `variable` is the environment variable that names it.

    Raises ConfigurationError: file, key, what is wrong, what to do.
    """
    content = _content(path, variable)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(f"{path}{_complaint(error, model)}") from None


def _content(path: Path, variable: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}. Correct {variable}, or make the file readable.") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {_position(error)}. Correct the TOML there.") from None


def _position(error: tomllib.TOMLDecodeError) -> str:
    """Where the TOML is broken; the reader's own words may repeat what stands there."""
    found = re.search(r"\(at (.*)\)$", str(error))
    return f"is no TOML at {found[1]}" if found else "is no TOML"


def _complaint(error: ValidationError, model: type[Setting]) -> str:
    """The first complaint: key, what, remedy. The value is not repeated."""
    first = error.errors(include_url=False, include_input=False)[0]
    keys = [str(key) for key in first["loc"] if key != KEY]
    where = f" ({'.'.join(keys)})" if keys else ""
    if first["type"] == "extra_forbidden":
        return f"{where}: is no setting{near(keys[-1], known_keys(model, keys[:-1]))}"
    if first["type"] == "value_error":
        return f"{where}: {first['ctx']['error']}."
    if KEY in first["loc"]:
        kind = keys[-2].removesuffix("s")
        return f"{where}: is no name of a {kind}. Write small letters, digits, - and _, a letter first."
    return f"{where}: {first['msg'].lower()}. Correct the value, or add it where it is missing."


def known_keys(model: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """Keys that may stand in the part of the settings that these keys lead to; empty if it is no part."""
    part: Any = model
    for key in keys:
        part = _inner(_fields(part).get(key, part))
    return list(_fields(part))


def _fields(part: Any) -> dict[str, Any]:
    """What each key of a part is annotated with, by the key as it is written in the file."""
    if not (isinstance(part, type) and issubclass(part, BaseModel)):
        return {}
    return {field.alias or name: field.annotation for name, field in part.model_fields.items()}


def _inner(annotation: Any) -> Any:
    """The part in an annotation: of `dict[str, Part]`, `tuple[Part, ...]` or `Part | None` it is Part."""
    found = [inner for inner in get_args(annotation) if inner not in (NoneType, Ellipsis)]
    return _inner(found[-1]) if found else annotation


def near(name: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not known: near ones first, else all."""
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1)
    if nearest:
        return f"; did you mean {nearest[0]}?"
    return f"; known are {', '.join(names)}." if names else "; there are none. Add it, or remove the name."
