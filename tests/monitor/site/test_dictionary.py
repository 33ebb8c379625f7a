# SPDX-License-Identifier: Apache-2.0
"""The data dictionary has every column of every table, each at its anchor."""

from __future__ import annotations

import pytest

from monitor.site import dictionary, places
from monitor.site.facts import Facts
from tests.monitor.site.story import pages, read, story


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return story(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def site(facts: Facts) -> dict[str, str]:
    return pages(facts, dictionary.parts)


def _anchors(html: str) -> list[str]:
    return [attributes["id"] for _, attributes in read(html).elements if "id" in attributes]


def test_every_column_has_one_anchor_and_its_words(facts: Facts, site: dict[str, str]) -> None:
    for table in facts.definitions.tables.values():
        html = site[places.words(table.mission, table.instrument)]
        wanted = [f"{table.name}.{column.name}" for column in table.columns]
        assert [anchor for anchor in _anchors(html) if anchor.startswith(f"{table.name}.")] == wanted


def test_words_and_units_are_those_of_the_definition(facts: Facts, site: dict[str, str]) -> None:
    table = facts.definitions.tables["hermes.nemisis_l2_mag"]
    page = read(site[places.words("hermes", "nemisis")])
    for column in table.columns:
        assert " ".join(column.description.split()) in page.text
        assert page.row(column.name, " ".join(column.description.split())) or column.nullable


def test_a_page_begins_with_the_way_to_each_of_its_tables(facts: Facts, site: dict[str, str]) -> None:
    html = site[places.words("hermes", "nemisis")]
    wanted = [
        f"#{t.name}" for t in facts.definitions.tables.values() if (t.mission, t.instrument) == ("hermes", "nemisis")
    ]
    assert [link for link in read(html.partition("<h2>")[0]).links if link != "#content" and link[0] == "#"] == wanted


def test_anchors_of_a_page_are_distinct(site: dict[str, str]) -> None:
    for html in site.values():
        anchors = _anchors(html)
        assert len(set(anchors)) == len(anchors)


def test_the_list_leads_to_each_table_by_its_anchor(facts: Facts, site: dict[str, str]) -> None:
    links = set(read(site[places.DICTIONARY]).links)
    for table in [*facts.definitions.tables.values(), *facts.definitions.ops]:
        page = places.words(*(dictionary.OWN if table.mission == "ops" else (table.mission, table.instrument)))
        assert f"{page}#{table.name}" in links
        assert table.name in _anchors(site[page])
