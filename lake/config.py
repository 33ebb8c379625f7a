# SPDX-License-Identifier: Apache-2.0
"""Settings: where the lake and the definitions are. From options, then SWXLAKE_* variables, then defaults."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lake.errors import ConfigurationError

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Settings of one process.

    root : the folder that holds all state.
    missions : the folder of definitions.
    settle_seconds : a file that changed less than this long ago is looked at twice before it is taken.
    """

    model_config = SettingsConfigDict(env_prefix="SWXLAKE_", frozen=True)

    root: Path = Path("lakehouse")
    missions: Path = CHECKOUT / "missions"
    settle_seconds: float = Field(default=1.0, ge=0, le=60)


def read_settings(root: str | None = None) -> Settings:
    """The settings of this process, `root` taking precedence. Raises ConfigurationError."""
    try:
        settings = Settings() if root is None else Settings(root=Path(root))
    except ValidationError as error:
        first = error.errors()[0]
        name = "SWXLAKE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"{name}={first['input']!r}: {first['msg']}. Correct or unset it.") from None
    return settings.model_copy(update={"root": _local_folder(str(root or settings.root))})


def _local_folder(root: str) -> Path:
    if "://" in root or root.startswith(("s3:", "gs:")):
        raise ConfigurationError(
            f"lake {root!r}: this version keeps a lake in a folder. Give --root or SWXLAKE_ROOT a path."
        )
    if any(character in root for character in "*?[]%\n\0"):
        raise ConfigurationError(f"lake {root!r}: the path holds one of * ? [ ] %. Choose a folder without them.")
    return Path(root).expanduser().resolve()
