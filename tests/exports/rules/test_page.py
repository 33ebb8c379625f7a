# SPDX-License-Identifier: Apache-2.0
"""The list of rules is complete: in the documentation, and in the code that judges."""

from __future__ import annotations

import re

from exports.rules.catalogue import RULES, SUBJECTS
from exports.rules.page import page
from lake.config import CHECKOUT

PAGE = CHECKOUT / "docs" / "reference" / "product-rules.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "write exports.rules.page.page() to it"


def test_no_two_rules_have_one_id() -> None:
    assert sum(len(rules) for rules in SUBJECTS.values()) == len(RULES)


def test_every_rule_that_code_names_is_listed_and_every_listed_rule_is_named() -> None:
    folder = CHECKOUT / "exports" / "rules"
    code = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "catalogue.py")
    named = set(re.findall(r'"([A-Z]\d\d|SKT)"', code))
    assert named == set(RULES)


def test_the_rules_of_the_guidelines_keep_their_numbers() -> None:
    numbers = {"F": [1, 2, 3, 4, 5, 6, 7, 11], "G": list(range(1, 22)), "V": list(range(1, 32))}
    for letter, expected in numbers.items():
        assert [int(rule[1:]) for rule in RULES if rule.startswith(letter)] == expected
