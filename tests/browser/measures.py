# SPDX-License-Identifier: Apache-2.0
"""What a page looks like in numbers: contrast of its texts, its width, its first paint."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

# Texts with less contrast than WCAG 2.2 demands (1.4.3, level AA): 4.5, or 3 from 24 px, or from 18.66 px if bold.
# A canvas turns every way to write a color into bytes.
FAINT = """() => {
  const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const bytes = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const over = (front, back) => {
    const a = front[3] / 255;
    return [0, 1, 2].map((i) => front[i] * a + back[i] * (1 - a)).concat(255);
  };
  const backdrop = (element) => {
    if (!element) return [255, 255, 255, 255];
    const own = bytes(getComputedStyle(element).backgroundColor);
    return own[3] === 255 ? own : over(own, backdrop(element.parentElement));
  };
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || element.closest('svg, script, style, noscript') || !element.checkVisibility()) continue;
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const style = getComputedStyle(element);
    const back = backdrop(element);
    const pair = [luminance(over(bytes(style.color), back)), luminance(back)].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
}"""
# What sticks out to the right of the window and is in no box of its own that scrolls.
WIDE = """() => {
  const edge = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= edge) return [];
  const cut = ['auto', 'scroll', 'hidden'];
  const boxed = (e) => e && (cut.includes(getComputedStyle(e).overflowX) || boxed(e.parentElement));
  return [...document.body.querySelectorAll('*')]
    .filter((e) => e.getBoundingClientRect().right > edge + 1 && !boxed(e.parentElement))
    .map((e) => `${e.tagName} ${e.className}: ${Math.round(e.getBoundingClientRect().right)} of ${edge}`)
    .concat([`the page: ${document.documentElement.scrollWidth} of ${edge}`]);
}"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)[0] ?? null"


def faint(page: Page) -> list[str]:
    """Texts that are hard to read, with their contrast."""
    found: list[str] = page.evaluate(FAINT)
    return found


def wide(page: Page) -> list[str]:
    """What makes the page scroll sideways; empty if it does not."""
    found: list[str] = page.evaluate(WIDE)
    return found


def first_paint(page: Page) -> float | None:
    """Milliseconds from the start of loading to the first text or picture; None if there is none yet."""
    found: Any = page.evaluate(PAINT)
    return None if found is None else float(found)
