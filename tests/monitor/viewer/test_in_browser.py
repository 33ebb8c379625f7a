# SPDX-License-Identifier: Apache-2.0
"""The viewer in a real browser: the spike is found at its exact time and value, a gap is a gap, limits are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from lake.store import Lake
from monitor.site import places
from tests.browser.chromium import PHONE, Visit, opened
from tests.monitor.envelopes.box import ADDRESS, HOUR, MIDNIGHT, US
from tests.monitor.viewer.viewed_lake import build

PLACE = places.channels(ADDRESS)
SPIKE_ROW = "2024-09-17T14:23:40.123457Z"
GREATEST = "#extremes tbody tr:first-child td:nth-child(5) button"
# The longest step in minutes between two points that a line joins, of all lines of means and rows.
LONGEST_STEP = """() => {
  const steps = document.getElementById("plot").data.filter((trace) => trace.hovertemplate).flatMap((trace) =>
    trace.x.map((x, i) => {
      const joined = i && trace.y[i] !== null && trace.y[i - 1] !== null;
      return joined ? Date.parse(x) - Date.parse(trace.x[i - 1]) : 0;
    }));
  return Math.max(...steps) / 60000;
}"""


@pytest.fixture(scope="module", autouse=True)
def site(viewed: Lake) -> None:
    """The pages that are there whatever other tests made of the site."""
    build(viewed)


@pytest.fixture(scope="module")
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """The page of the table, served; the tests take turns on it."""
    with opened(browser, f"{address}/{PLACE}") as found:
        yield found


def at(visit: Visit, hash_: str) -> Page:
    """The page at another part of its address."""
    visit.page.evaluate(
        "hash => new Promise((go) => { addEventListener('hashchange', go, { once: true }); location.hash = hash; })",
        hash_,
    )
    settle(visit.page)
    return visit.page


def settle(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.wait_for_selector("#viewer[aria-busy='false'] #plot .xy")


def shapes(page: Page, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("document.getElementById('plot').layout.shapes")
    return [shape for shape in found if shape.get("name") == name]


def words(page: Page) -> str:
    return " ".join(page.locator("#plot .annotation-text").all_text_contents())


def in_view(page: Page) -> tuple[str, str]:
    return page.input_value("#start"), page.input_value("#stop")


def test_extremes_have_six_digits_and_all_of_them_for_who_points_at_them(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-16/2024-09-19")
    least = page.locator("#extremes tbody td.number").first
    exact = float(least.get_attribute("title") or "nan")
    assert least.inner_text() == f"{exact:.6g}"
    assert f"{exact:.6g}" != repr(exact)


def test_the_spike_is_found_by_going_closer(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-16/2024-09-19")
    assert "envelopes" in page.inner_text("#level")
    assert "61.25" in page.inner_text("#extremes")
    while "within" in page.inner_text(GREATEST):
        page.click(GREATEST)
        settle(page)
    assert page.inner_text(GREATEST) == "2024-09-17 14:23:40.123457"
    row = page.locator("#rows tbody tr", has_text=SPIKE_ROW)
    assert row.locator("td").first.inner_text() == "61.25 greatest"
    assert page.locator("#rows .extreme", has_text="greatest").count() == 1
    assert "clock_invalid" in row.inner_text()


def test_dragging_over_a_time_goes_there(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-16T00:00/2024-09-19T00:00")
    box = page.locator("#plot .nsewdrag").bounding_box()
    assert box
    middle, x = box["y"] + box["height"] / 2, box["x"] + box["width"] * (38.4 / 72)
    page.mouse.move(x - 12, middle)
    page.mouse.down()
    page.mouse.move(x + 12, middle, steps=4)
    page.mouse.up()
    settle(page)
    start, stop = in_view(page)
    assert "2024-09-17 12" < start < "2024-09-17 14:23" < stop < "2024-09-17 17"
    assert "61.25" in page.inner_text("#extremes")


def test_what_reaches_beyond_the_view_is_said_to(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-16T23:00:00Z/2024-09-17T14:23:20Z")  # the spike is 20 s after its end
    assert "1 min, about " in page.inner_text("#level")
    assert "partly in view" in page.inner_text(GREATEST)
    page = at(visit, "#temp_degc@2024-09-16T23:00:00Z/2024-09-17T14:24:00Z")
    assert "about " not in page.inner_text("#level")
    assert "partly in view" not in page.inner_text(GREATEST)


def test_nothing_of_another_time_stays_after_an_error(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-17/2024-09-18")
    page.evaluate("() => { window.real = fetch; window.fetch = async () => new Response('full', { status: 500 }); }")
    page.evaluate("location.hash = '#temp_degc@2024-09-16/2024-09-17'")
    page.wait_for_selector("#viewer[aria-busy='false'] #level:has-text('answered 500')")
    page.evaluate("() => { window.fetch = window.real; }")
    assert in_view(page)[0] == "2024-09-16 00:00:00"
    assert page.evaluate("document.getElementById('plot').data.length") == 0
    assert page.inner_text("#extremes") + page.inner_text("#marks") + page.inner_text("#rows") == ""


def test_an_address_or_a_time_that_cannot_be_read_is_none(visit: Visit) -> None:
    page = at(visit, "#x%")
    assert page.locator("#choices input:checked").get_attribute("value") == "temp_degc"
    times = ["12:75:00", "24:00:01", "12:00:60", "23:59:59", "24:00:00"]
    read = page.evaluate("times => times.map((time) => swxlakeTime.parse(`2024-09-16 ${time}`))", times)
    assert read == [None, None, None, (MIDNIGHT + 24 * HOUR) - US, MIDNIGHT + 24 * HOUR]


def test_what_is_not_understood_of_an_address_is_said_until_somebody_goes_on(visit: Visit) -> None:
    page = at(visit, "#nosuch,is_hot@14:40/14:35@loq")
    said = page.inner_text("#doubts")
    assert 'no channel here is called "nosuch"' in said
    assert '"14:40/14:35" is no time' in said
    assert '"loq" is not known' in said
    assert "Shown: is_hot, 2024-09-16 00:00:00 to 2024-09-19 00:00:00." in said
    assert page.url.endswith("@loq")
    assert "ends before it begins" in at(visit, "#is_hot@2024-09-18/2024-09-17").inner_text("#doubts")
    page.click("#all")
    settle(page)
    assert page.inner_text("#doubts") == ""
    assert [page.locator(f"#{name}:disabled").count() for name in ("fit", "log")] == [1, 0], "it has no limits"
    span = "span => { document.querySelector('[data-span]').dataset.span = span; }"
    page.evaluate(span, 3 * 24 * HOUR)  # of all there is
    page.click("#all")
    assert page.locator("[aria-pressed='true']").all_inner_texts() == ["All"]
    page.evaluate(span, 60 * US)


def test_without_data_it_is_said_where_there_are_some(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2030-01-01/2030-01-02")
    assert page.inner_text("#level") == (
        "No data here, 2030-01-01 00:00:00 to 2030-01-02 00:00:00. "
        "Data are from 2024-09-16 00:00:00.123457 to 2024-09-18 23:59:50.123457."
    )
    assert page.evaluate("[plot.data.length, plot.layout.xaxis.visible]") == [0, False]
    assert page.inner_text("#rows-about") == "No rows in view."
    page.click("#level a")
    settle(page)
    assert in_view(page) == ("2024-09-16 00:00:00", "2024-09-19 00:00:00")
    page = at(visit, "#temp_degc@2024-09-17T05:00:00Z/2024-09-17T05:30:00Z")
    assert "No data here" in page.inner_text("#level")
    assert {"no values here", "yellow gap"} <= set(page.locator("#plot .annotation-text").all_text_contents())
    assert page.evaluate("plot.layout.yaxis.showticklabels") is False


def test_a_channel_of_many_magnitudes_has_a_log_axis_from_the_start(visit: Visit) -> None:
    page = at(visit, "#temp_degc,uptime@2024-09-17T00:00:00Z/2024-09-17T01:00:00Z")
    assert page.evaluate("[plot.layout.yaxis.type, plot.layout.yaxis2.type]") == ["linear", "log"]
    assert page.evaluate("document.getElementById('log').indeterminate") is True


def test_a_log_axis_says_what_it_leaves_out(visit: Visit) -> None:
    page = at(visit, "#temp_degc,b_nt.x,b_nt.z@2024-09-17T00:00:00Z/2024-09-17T01:00:00Z")
    types = "['', 2, 3].map((place) => plot.layout[`yaxis${place}`].type)"
    assert page.evaluate(types) == ["linear"] * 3
    page.check("#log")
    assert page.evaluate(types) == ["log", "log", "linear"]
    said = page.inner_text("#level")
    assert "rows as they are, 360 rows. " in said, "rows of the table, not of each channel"
    assert "The log axis of temp_degc leaves out: limits of 0 and less." in said
    assert "The log axis of b_nt.x leaves out: values of 0 and less, in 52 of 360 rows." in said
    assert "No value of b_nt.z is above 0, so its axis is linear." in said
    assert page.inner_text("#rows-about") == "360 rows in view."
    assert page.evaluate("plot.data[1].y.filter((y) => y === null).length") == 53
    assert page.evaluate("plot.data[0].cliponaxis") is False, "a sample at the edge is drawn whole"
    cell = page.locator("#rows tbody td").first
    assert cell.inner_text() == f"{float(cell.get_attribute('title') or 'nan'):.9g}"
    assert at(visit, page.url[page.url.index("#") :].replace("T01:", "T20:")).is_checked("#log")
    assert "values of 0 and less, in 900 of 1,050 envelopes." in page.inner_text("#level")
    page.uncheck("#log")
    assert page.url.endswith("@linear")


@pytest.mark.parametrize("time", ["2024-09-16/2024-09-19", "2024-09-17T03:50:00Z/2024-09-17T06:40:00Z"])
def test_no_line_goes_over_the_gap(visit: Visit, time: str) -> None:
    page = at(visit, f"#temp_degc@{time}")
    assert page.evaluate(LONGEST_STEP) <= 10
    assert "yellow gap" in words(page)
    assert "no rows for 2.5 h" in page.inner_text("#marks")


def test_limits_are_lines_with_words(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-17/2024-09-18")
    assert [shape["y0"] for shape in shapes(page, "limit")] == [40, -20, 60]
    assert all(said in words(page) for said in ("yellow above 40", "red above 60", "red below -20", "red high"))
    assert "temp_degc  Temperature" in words(page)


def test_a_limit_that_is_far_away_is_said_at_the_edge(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-16T00:00:00Z/2024-09-16T06:00:00Z")
    assert shapes(page, "limit") == []
    assert "red above 60 ↑" in words(page)
    page.check("#fit")
    assert len(shapes(page, "limit")) == 3
    page.uncheck("#fit")


def test_an_alert_leads_to_its_page_and_its_text_is_text(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-17T14:23:40.123457Z/2024-09-17T14:23:40.123457Z")
    assert in_view(page) == ("2024-09-17 14:23:10.123457", "2024-09-17 14:24:10.123457")
    assert page.locator("#marks a").get_attribute("href") == "../alerts/feedc0ffee01.html"
    assert "<b>61 degC</b>" in page.inner_text("#marks")
    assert page.evaluate("window.broken") is None


def test_an_alert_is_shaded_where_its_anomalies_are_and_a_line_where_it_has_none(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-16/2024-09-19")
    found = [(shape["type"], shape["x0"][:16], shape["x1"][:16]) for shape in shapes(page, "alert")]
    assert found == [
        ("line", "2024-09-18T12:00", "2024-09-18T12:00"),
        ("rect", "2024-09-17T22:23", "2024-09-17T22:24"),
        ("rect", "2024-09-17T14:23", "2024-09-17T14:23"),
    ]
    assert len(shapes(page, "anomaly")) == 1, "the gap; those of the alert are not shaded twice"
    assert "red checks" in words(page)
    times = page.locator("#marks tr", has_text="anomaly: red_high").last.locator("td").all_inner_texts()[3:5]
    assert times == ["2024-09-17 14:23:40.123457"] * 2
    page = at(visit, "#temp_degc@2024-09-17T16:00:00Z/2024-09-17T17:00:00Z")
    assert shapes(page, "alert") == []
    assert page.inner_text("#marks") == ""


def test_keys_and_buttons_move_the_view(visit: Visit) -> None:
    page = at(visit, "#temp_degc@2024-09-17T00:00:00Z/2024-09-18T00:00:00Z")
    page.focus("#plot")
    for key, view in [
        ("ArrowLeft", ("2024-09-16 18:00:00", "2024-09-17 18:00:00")),
        ("+", ("2024-09-17 00:00:00", "2024-09-17 12:00:00")),
        ("0", ("2024-09-16 00:00:00", "2024-09-19 00:00:00")),
    ]:
        page.keyboard.press(key)
        assert in_view(page) == view
    page.get_by_role("button", name="Hour", exact=True).click()
    settle(page)
    assert in_view(page) == ("2024-09-18 23:00:00", "2024-09-19 00:00:00")
    assert "360 rows in view" in page.inner_text("#rows-about")


def test_several_channels_share_one_axis_of_time(visit: Visit) -> None:
    page = at(visit, "#b_nt")
    assert page.locator("#choices input:checked").count() == 3
    page.check("#choices input[value='is_hot']")
    settle(page)
    assert "#b_nt.x,b_nt.y,b_nt.z,is_hot@" in page.url
    axes = page.evaluate("document.getElementById('plot').data.map((trace) => trace.xaxis + trace.yaxis)")
    assert set(axes) == {"xy", "xy2", "xy3", "xy4"}
    assert "20.1" in page.inner_text("#extremes")


def test_from_a_folder_there_are_envelopes_and_it_says_so(browser: Browser, viewed: Lake) -> None:
    with opened(browser, Path(viewed.root, "site", places.CHANNELS).as_uri(), color_scheme="dark") as found:
        page = found.page
        page.fill("#find", "nt.y")
        assert page.locator("tr[data-find]:visible").count() == 1
        assert page.inner_text("#found") == "1 of 6"
        page.click("tr[data-find]:visible a")
        settle(page)
        assert page.locator("#choices input:checked").get_attribute("value") == "b_nt.y"
        page.set_viewport_size(PHONE)
        at(found, "#temp_degc@2024-09-16/2024-09-19")
        assert "61.25" in page.inner_text("#extremes")
        assert "This page holds envelopes alone" in page.inner_text("#level")
        assert page.evaluate(LONGEST_STEP) <= 10
        page.click(GREATEST)
        settle(page)
        assert "14:20:00, within 10 min" in page.inner_text(GREATEST)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
