# SPDX-License-Identifier: Apache-2.0
"""File names (being written)."""
from pydantic import BaseModel, ConfigDict


class NameRules(BaseModel):
    """The file-name grammar of a mission."""

    model_config = ConfigDict(frozen=True, extra="allow")
