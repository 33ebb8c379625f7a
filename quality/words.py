# SPDX-License-Identifier: Apache-2.0
"""Numbers, modes and the rules of tables as a person would say them."""

from __future__ import annotations

from lake.watch_definitions import Mode, TableRule


def number(value: float) -> str:
    """A limit as a person writes it: 65535, not 65535.0; the floating-point tail of 0.1 + 0.2 is cut."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.12g}"


def mode_in_words(mode: Mode | None) -> str:
    """` while hv_on is 1`; nothing for no mode."""
    return f" while {mode.column} is {' or '.join(mode.any_of)}" if mode else ""


def in_words(rule: TableRule) -> str:
    """The description of a table's rule, and what it asks, as sentences."""
    subject = " of ".join(part for part in (rule.metric, rule.column) if part) or "the value"
    asked = f"{subject} {_asked(rule)}{mode_in_words(rule.when)}."
    whole = f"0 rows break the rule that {asked}" if rule.metric is None else f"{asked[0].upper()}{asked[1:]}"
    return f"{whole} {rule.description.strip().rstrip('.')}."


def _asked(rule: TableRule) -> str:
    if rule.at_most is not None:
        return f"is at most {rule.at_most}"
    if rule.at_least is not None:
        return f"is at least {rule.at_least}"
    if rule.rises:
        return "rises from row to row"
    if rule.one_of:
        return f"is one of {', '.join(v if isinstance(v, str) else number(v) for v in rule.one_of)}"
    if rule.low is not None and rule.high is not None:
        return f"is {number(rule.low)} to {number(rule.high)}"
    return f"is {number(rule.low)} or more" if rule.low is not None else f"is {number(rule.high or 0.0)} or less"
