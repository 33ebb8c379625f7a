# SPDX-License-Identifier: Apache-2.0
"""What a simulator may be asked for: a day on which its clock runs, a length, a seed, and faults of its own streams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from lake.clock import met_from_tt2000, tt2000_of_day
from lake.definitions import Instrument, Mission
from lake.errors import ConfigurationError
from simulate.faults import Fault

MOST_HOURS = 24 * 31


def check_request(
    mission: Mission,
    instrument: Instrument,
    day: date,
    seed: int,
    hours: float,
    faults: tuple[Fault, ...],
    streams: Sequence[str],
) -> None:
    """Raises ConfigurationError if nothing can be made of the request."""
    if seed < 0:
        raise ConfigurationError(f"seed {seed}: is negative. Choose 0 or more.")
    if not 0 < hours <= MOST_HOURS:
        raise ConfigurationError(
            f"hours {hours:g}: is not above 0 and at most {MOST_HOURS} (31 days). Choose fewer hours."
        )
    valid = mission.valid_time
    if not valid.start <= day < valid.stop:
        raise ConfigurationError(
            f"day {day}: lies outside {valid.start} to {valid.stop}, the valid time of {mission.name}. "
            "Choose a day within."
        )
    if met_from_tt2000(instrument.clock, tt2000_of_day(day)) < 0:
        raise ConfigurationError(
            f"day {day}: the clock of {instrument.name} begins at {instrument.clock.epoch}. Choose a later day."
        )
    check_faults(faults, streams)


def check_faults(faults: tuple[Fault, ...], streams: Sequence[str]) -> None:
    """Raises ConfigurationError if a fault is of none of these streams."""
    for fault in faults:
        if fault.stream not in streams:
            raise ConfigurationError(
                f"fault {fault.kind} at {fault.start}: there is no stream {fault.stream!r}. "
                f"Use {'one of ' if len(streams) > 1 else ''}{', '.join(streams)}."
            )


def whole_seconds(hours: float) -> int:
    """The length of a run: the same for all instruments, so that they write the same truth."""
    return max(round(hours * 3600), 1)
