# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about `contacts.toml`: whether it and its plans can be read, and the center be reached."""

from __future__ import annotations

from collections.abc import Iterator

from exports.contacts.plans import plan_files, read_plan
from exports.contacts.settings import WHO, ContactSettings, check_contact_settings, read_contact_settings
from exports.delivery.reach import NOTHING, REACH_SECONDS
from lake.config import read_settings
from lake.errors import ConfigurationError, WayError
from lake.setting_files import is_of, other_lake
from lake.store import Lake
from lake.ways.settings import FolderWay, open_way
from swxlake.outcome import Outcome

NOBODY = "no contacts.toml here, and SWXLAKE_CONTACTS names none: no pass is accounted for"


def examine_contacts(lake: Lake) -> Outcome:
    """A problem for each plan that cannot be read, each row that is wrong, and a center that is out of reach.

    Nothing is sent and nothing kept.
    """
    try:
        path = read_settings(str(lake.root)).contacts
        if path is None:
            return Outcome(facts={"contacts": NOBODY})
        settings = read_contact_settings(path)
        check_contact_settings(settings, lake.definitions, path)
    except ConfigurationError as error:
        return Outcome(facts={"contacts": "not well"}, problems=[f"contacts: {error}"])
    if not is_of(settings, lake.root):
        return Outcome(notes=[f"{other_lake(settings, lake.root, path)}: passes are not accounted for"])
    problems = [f"contacts: {line}" for line in (*_plans(lake, settings), *_reach(settings))]
    plans = f"{path}: {len(plan_files(settings.plan)) if settings.plan else 0} plans can be read"
    told = f"{settings.answers.way.place} can be reached" if settings.answers else "nobody is told"
    return Outcome(facts={"contacts": "not well" if problems else f"{plans}; {told}"}, problems=problems)


def _plans(lake: Lake, settings: ContactSettings) -> Iterator[str]:
    """What is wrong with the plans that the settings name."""
    files = plan_files(settings.plan) if settings.plan else []
    if settings.plan and not files:
        yield f"{settings.plan}: there is no such plan. Correct `plan`, or put one there."
    for path in files:
        try:
            yield from read_plan(path, lake.definitions).wrong
        except ConfigurationError as error:
            yield str(error)


def _reach(settings: ContactSettings) -> Iterator[str]:
    """Why the operations center cannot be reached, if it cannot."""
    if settings.answers is None:
        return
    way = settings.answers.way
    hurried = way if isinstance(way, FolderWay) else way.model_copy(update={"seconds": min(way.seconds, REACH_SECONDS)})
    try:
        with open_way(WHO, hurried) as transport:
            transport.size(NOTHING)
    except WayError as error:
        yield str(error)
