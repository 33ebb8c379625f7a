# SPDX-License-Identifier: Apache-2.0
"""Where the reference, SWxSOC, keeps files: a bucket for each instrument, folders by level, descriptor and day.

The rule is that of `create_s3_file_key` of the swxsoc package: files of the first level of a mission have no descriptor
in their key, all others have one.
"""

from __future__ import annotations

from datetime import date

from lake.names import NameRules

NO_DESCRIPTOR = "unknown"
LONG_DESCRIPTORS = {"spec": "spectrum", "hk": "housekeeping"}


def archive_bucket(prefix: str, mission: str, instrument: str) -> str:
    """The bucket of an instrument, by its long name; `prefix` is that of a deployment, such as `dev-`."""
    return f"{prefix}{mission.replace('_', '-')}-{instrument}"


def archive_folder(rules: NameRules, level: str, descriptor: str | None) -> str:
    """The folder of a level and a descriptor, in which there is one for each year."""
    if level == rules.levels[0]:
        return level
    word = (descriptor or NO_DESCRIPTOR).replace("_", "-")
    return f"{level}/{LONG_DESCRIPTORS.get(word, word)}"


def archive_key(rules: NameRules, level: str, descriptor: str | None, day: date, name: str) -> str:
    """The key of a file in the bucket of its instrument."""
    return f"{archive_folder(rules, level, descriptor)}/{day:%Y/%m/%d}/{name}"
