# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about `alerts.toml`: whether it can be read and fits, and whether its channels can be used."""

from __future__ import annotations

from lake.config import read_settings
from lake.errors import ConfigurationError
from lake.store import Lake
from quality.notices.reach import reach
from quality.notices.settings import AlertSettings, read_alert_settings, warnings
from swxlake.outcome import Outcome

NOBODY = "no alerts.toml here, and SWXLAKE_ALERTS names none: alerts are recorded, and nobody is told"


def examine_alerts(lake: Lake) -> Outcome:
    """A problem for each channel that cannot be used, a note for what nobody would be told of. Nothing is sent."""
    try:
        path = read_settings(str(lake.root)).alerts
        settings = read_alert_settings(path)
        if path is None:
            return Outcome(facts={"alerts": NOBODY})
        notes = warnings(settings, lake.definitions, path)
    except ConfigurationError as error:
        return Outcome(facts={"alerts": "not well"}, problems=[f"alerts: {error}"])
    wrong = reach(settings)
    well = f"{path}: {_count(settings)}, and each channel can be used"
    return Outcome(
        facts={"alerts": "not well" if wrong else well}, notes=notes, problems=[f"alerts: {line}" for line in wrong]
    )


def _count(settings: AlertSettings) -> str:
    return f"channels: {', '.join(settings.channels) or 'none'}; routes: {len(settings.routes)}"
