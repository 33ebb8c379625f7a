# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about `delivery.toml`: whether it can be read and fits, and recipients be reached."""

from __future__ import annotations

from exports.delivery.reach import reach
from exports.delivery.settings import check_delivery_settings, read_delivery_settings
from lake.config import read_settings
from lake.errors import ConfigurationError
from lake.store import Lake
from swxlake.outcome import Outcome

NOBODY = "no delivery.toml here, and SWXLAKE_DELIVERY names none: nothing leaves the lake"


def examine_delivery(lake: Lake) -> Outcome:
    """A problem for each recipient that cannot be reached. Nothing is sent."""
    try:
        path = read_settings(str(lake.root)).delivery
        if path is None:
            return Outcome(facts={"delivery": NOBODY})
        settings = read_delivery_settings(path)
        check_delivery_settings(settings, lake.definitions, path)
    except ConfigurationError as error:
        return Outcome(facts={"delivery": "not well"}, problems=[f"delivery: {error}"])
    problems = [f"delivery: {line}" for line in reach(settings)]
    well = f"{path}: {', '.join(settings.recipients) or 'no recipient'}, each can be reached"
    return Outcome(facts={"delivery": "not well" if problems else well}, problems=problems)
