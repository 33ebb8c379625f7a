# SPDX-License-Identifier: Apache-2.0
"""What to do about an alert, in words: by what is wrong."""

from __future__ import annotations

from quality.alerts.episodes import OUTAGE, SEVERAL
from quality.alerts.nouns import Alert
from quality.alerts.standing import BUILD, CHECKS
from quality.alerts.stretches import last_day, root

NORMAL = "If the new level is meant, acknowledge it with --new-normal: later days are compared with it."
BY_RULE = {
    "stale": "Look whether files arrive and nights run; a planned time off belongs into `watch.off`.",
    "silent": "Look whether a file of the table is missing: `swxlake gaps` tells days without packets.",
    "gap": "Ask for the packets again if they are on board; a planned time off belongs into `watch.off`.",
    "stuck": "Compare with channels beside it: a channel that stands still while others move does not measure.",
    "saturation": "The true value lies beyond the end of the range. Leave the stretch out of what is derived from it.",
    "drift": f"Plot its daily medians with sql/queries/channel_trend_per_day.sql. {NORMAL}",
    "level": f"Look for a command, a mode change or an eclipse at that time. {NORMAL}",
    "rate": "Look for a command, a mode change or an eclipse at that time.",
    "noise": "Look whether something was switched on or off at that time; noise of one channel alone is its own.",
    "state": "Look for the command that changed the setting.",
    "change": "A constant has changed: look for a command, a patch or a restart at that time.",
    "reset": "Look for a restart of the instrument at that time, in ops.packets too.",
    "jump": "Look what was counted so often at that time, and for a restart in ops.packets.",
    "trend": "Plot the metric over months; sql/queries/performance_per_month.sql is a beginning.",
}
LIMITS = ("red_low", "red_high", "yellow_low", "yellow_high")
AT_LIMIT = "Follow the instrument's procedure for this limit; limits.csv names where the limit comes from."


def advice(alert: Alert) -> list[str]:
    """What can be done, the worst rule first."""
    if alert.subject.endswith(CHECKS):
        day = last_day(alert.start, alert.end)
        return [f"List the rows: `swxlake check {alert.table}@{day} --rows`. Such days are not exported."]
    if alert.subject.endswith(BUILD):
        return [f"Mend what the message names, then run `swxlake transform {alert.table}`, or wait for the night."]
    common = ["What begins together has one cause: look at what is shared, supply, clock, mode or downlink."]
    found = common if alert.subject.endswith((SEVERAL, OUTAGE)) else []
    found += [_of_rule(root(rule)) for rule in alert.rules]
    return [line for line in dict.fromkeys(found) if line]


def _of_rule(rule: str) -> str:
    return AT_LIMIT if rule in LIMITS else BY_RULE.get(rule, "")
