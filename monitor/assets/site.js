// SPDX-License-Identifier: Apache-2.0
// What pages can do beyond being read: light or dark, sorting, filtering, copying, and saying how old they are.
"use strict";
(() => {
  const OLD_HOURS = 36; // a night a day, and half a day for it to be late
  const JUDGED_EVERY_MS = 300e3; // a page that stays open on a wall grows old as any other
  const FEW_ROWS = 9; // fewer are read faster than they are searched

  const element = (name, words, about = {}) => Object.assign(document.createElement(name), { textContent: words }, about);

  function scheme() {
    const place = document.getElementById("scheme");
    if (!place) return;
    const root = document.documentElement;
    const dark = () => (root.dataset.scheme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const button = element("button", "", { type: "button" });
    const show = () => {
      button.textContent = dark() ? "☀ Light" : "☾ Dark";
      button.setAttribute("aria-label", dark() ? "Show in light colors" : "Show in dark colors");
    };
    button.addEventListener("click", () => {
      root.dataset.scheme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("swxlake-scheme", root.dataset.scheme);
      } catch {
        // The choice holds for this page alone.
      }
      show();
      dispatchEvent(new CustomEvent("swxlake-scheme"));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      show();
      dispatchEvent(new CustomEvent("swxlake-scheme"));
    });
    show();
    place.append(button);
  }

  function age() {
    const place = document.getElementById("built"), built = window.swxlakeBuilt;
    if (!place || !built) return;
    const hours = (Date.now() - Date.parse(built.at)) / 3600e3;
    const at = built.at.replace("T", " ").replace("Z", "");
    place.textContent = `Made ${at} by swxlake ${built.version}` + (built.night ? `, after the night ${built.night}.` : ", before there was a night.");
    if (hours > OLD_HOURS) stale(place, hours);
  }

  function stale(place, hours) {
    const old = hours < 72 ? `${Math.floor(hours)} hours` : `${Math.floor(hours / 24)} days`;
    const words = `Stale: these pages were made ${old} ago. What happened since is not on them.`;
    document.documentElement.classList.add("old");
    place.classList.add("old");
    let banner = document.querySelector(".stale-banner");
    if (!banner) {
      banner = element("div", "", { className: "stale-banner" });
      banner.setAttribute("role", "status");
      document.querySelector("main").before(banner);
    }
    if (banner.textContent !== words) banner.textContent = words; // said once to those who listen
  }

  // A page lives as long as nobody reloads it; timers of one that nobody sees may sleep.
  function watchAge() {
    age();
    setInterval(age, JUDGED_EVERY_MS);
    document.addEventListener("visibilitychange", age);
  }

  // What a cell is sorted by: the value that it was given, its number, or its words.
  function worth(row, column) {
    const cell = row.cells[column];
    if (!cell) return "";
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text.replaceAll(",", ""));
    return text !== "" && !Number.isNaN(number) ? number : text;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = element("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].map((row) => [worth(row, column), row]);
        rows.sort(([a], [b]) => (up ? compare(a, b) : compare(b, a)));
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }

  function filterable(table) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < FEW_ROWS) return;
    const count = element("span", "", { className: "quiet" });
    const input = Object.assign(document.createElement("input"), { type: "search", placeholder: "Filter rows", autocomplete: "off" });
    input.setAttribute("aria-label", "Filter rows: all words must occur");
    count.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = words.length ? `${shown} of ${rows.length}` : "";
    });
    const box = element("div", "", { className: "filter" });
    box.append(input, count);
    (table.closest(".wide") ?? table).before(box);
  }

  function copyable(details) {
    const code = details.querySelector("code");
    if (!code || !navigator.clipboard) return; // not given to pages of a folder by some browsers
    const button = element("button", "Copy", { type: "button" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    });
    details.append(button);
  }

  // The newest days are at the right end of what is too wide.
  const toTheEnd = (box) => { box.scrollLeft = box.scrollWidth; };

  scheme();
  watchAge();
  document.querySelectorAll("table[data-sort]").forEach(sortable);
  document.querySelectorAll("table[data-filter]").forEach(filterable);
  document.querySelectorAll("details.query").forEach(copyable);
  document.querySelectorAll("[data-end]").forEach(toTheEnd);
})();
