// SPDX-License-Identifier: Apache-2.0
"use strict";
// Arrow keys: from day to day on a calendar, to the day before and after on a page of a day.
(() => {
  const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
  const links = [...document.querySelectorAll(".days a")];

  function onCalendar(link, step) {
    const row = links.map((other) => Date.parse(other.getAttribute("aria-label")) / 86400e3);
    const here = links.indexOf(link);
    const own = link.closest(".mission");
    const place = row.findIndex((day, i) => day === row[here] + step && links[i].closest(".mission") === own);
    if (place >= 0) links[place].focus();
    return place >= 0;
  }

  document.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const target = event.target;
    if (target.matches("input, textarea, select, .wide") || target.closest("#plot")) return;
    if (links.includes(target)) {
      if (onCalendar(target, step)) event.preventDefault();
    } else if (Math.abs(step) === 1) {
      const link = document.querySelector(step < 0 ? ".day-steps a[rel=prev]" : ".day-steps a[rel=next]");
      if (link) link.click();
    }
  });
})();
