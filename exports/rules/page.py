# SPDX-License-Identifier: Apache-2.0
"""The page that lists all rules, docs/reference/product-rules.md."""

from __future__ import annotations

from exports.rules.catalogue import SUBJECTS, Rule

HEAD = """# Rules for products

Generated from `exports/rules/catalogue.py`; do not edit. Before a file is published it is judged by these rules, and
compared with the structure of its dataset. An error stops the file: no version is given out, no file is left, other
days go on ([what to do](../how-to/when-a-product-is-refused.md)). A warning is counted, and shown by
`swxlake cdf check FILE`, which judges any ISTP CDF; "both" has grave cases and others.

Sources: ISTP is the [ISTP Metadata Guidelines](https://github.com/IHDE-Alliance/ISTP_metadata) 1.0; SPDF is what
SPDF's checker reports or its pages on deliveries ask for; CDF is the CDF library and its format; ours is our own
policy.
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *(_section(title, rules) for title, rules in SUBJECTS.items())])


def _section(title: str, rules: tuple[Rule, ...]) -> str:
    rows = [f"| {r.id} | {r.severity} | {r.title} | {r.source} |" for r in rules]
    return "\n".join([f"## {title}", "", "| id | severity | rule | source |", "|---|---|---|---|", *rows, ""])
