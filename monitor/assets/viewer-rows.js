"use strict";
// The tables below the plots: extremes in view, alerts and anomalies in view, and rows with their exact values.
window.swxlakeTables = (() => {
  const { text, length } = window.swxlakeTime;
  const COMPARED = 6; // digits of extremes
  const TOLD = 9; // digits of rows: more than any instrument here measures, fewer than a double has

  function element(name, words, attributes = {}) {
    const made = document.createElement(name);
    if (words !== undefined) made.textContent = words;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function head(table, names) {
    const row = element("tr");
    for (const [name, kind] of names) row.append(element("th", name, { scope: "col", ...(kind ? { class: kind } : {}) }));
    const top = element("thead");
    top.append(row);
    table.replaceChildren(top, element("tbody"));
    return table.tBodies[0];
  }

  // The place of the least or greatest value; -1 if there is none.
  function place(values, better) {
    return values.reduce((best, value, i) => (value !== null && (best < 0 || better(value, values[best])) ? i : best), -1);
  }

  // Whether a bucket reaches beyond the view: then some of its values may be from there.
  const leaves = (series, i, view) => series.width > 0 && (series.time[i] < view.start || series.time[i] + series.width > view.stop);
  const overhangs = (series, view) => series.time.length > 0 && (leaves(series, 0, view) || leaves(series, series.time.length - 1, view));

  // Least and greatest value of each channel in view, with buttons that go there.
  function extremes(table, shown, view, go) {
    const body = head(table, [["Channel"], ["Least", "number"], ["at"], ["Greatest", "number"], ["at"], ["Unit"], ["Rows", "number"]]);
    for (const { channel, series } of shown) {
      const row = element("tr");
      row.append(element("th", channel.name, { scope: "row" }));
      for (const [values, better] of [[series.low, (a, b) => a < b], [series.high, (a, b) => a > b]]) {
        const i = place(values, better);
        row.append(i < 0 ? element("td", "-", { class: "number" }) : number(values[i], channel.type, COMPARED), where(series, i, view, go));
      }
      const count = `${overhangs(series, view) ? "about " : ""}${series.rows.toLocaleString("en")}`;
      row.append(element("td", channel.unit, { class: "quiet" }), element("td", count, { class: "number" }));
      body.append(row);
    }
  }

  // So many digits are what a reader compares; who points at them sees all. Whole numbers are shown as they are.
  function number(value, type, digits) {
    const exact = window.swxlakeValue(value, type);
    const whole = typeof value !== "number" || Number.isInteger(value);
    const short = whole ? exact : window.swxlakeValue(Number(value.toPrecision(digits)), type);
    return element("td", short, short === exact ? { class: "number" } : { class: "number", title: exact });
  }

  function where(series, i, view, go) {
    const cell = element("td");
    if (i < 0) return cell;
    const time = series.time[i];
    const edge = leaves(series, i, view) ? ", partly in view" : "";
    const words = series.width ? `${text(time)}, within ${length(series.width)}${edge}` : text(time);
    const button = element("button", words, { type: "button", class: "go", title: "Look closer" });
    button.addEventListener("click", () => go(time, series.width));
    cell.append(button);
    return cell;
  }

  function marks(box, found, root) {
    box.replaceChildren();
    if (!found.length) return;
    const table = element("table");
    const body = head(table, [["Severity"], ["What"], ["Channel"], ["From"], ["To"], ["Details"]]);
    for (const mark of found.slice(0, 100)) {
      const row = element("tr");
      const what = `${mark.kind}: ${mark.word}${mark.state ? `, ${mark.state}` : ""}`;
      const name = element("td");
      name.append(mark.page ? element("a", what, { href: root + mark.page }) : element("span", what));
      row.append(element("td", mark.severity, { class: `severity ${mark.severity}` }), name, element("td", mark.column || "all"));
      row.append(element("td", text(mark.from)), element("td", mark.open ? "still" : text(mark.last)), element("td", details(mark)));
      body.append(row);
    }
    const wide = element("div", undefined, { class: "wide", tabindex: "0", role: "region", "aria-label": "Alerts and anomalies in view" });
    wide.append(table);
    box.append(element("h2", "Alerts and anomalies in view"), wide);
  }

  const details = (mark) => (mark.unshaded ? `${mark.text} (its ${mark.unshaded} oldest anomalies are not shaded)` : mark.text);

  // Rows of the table as they are; those that hold an extreme of a channel in view say so.
  function rows(table, answer) {
    const body = head(table, [["Time"], ...answer.columns.map((c) => [c.unit ? `${c.name} [${c.unit}]` : c.name, c.type === "string" ? "" : "number"])]);
    for (const [time, ...values] of answer.rows) {
      const row = element("tr");
      row.append(element("th", time, { scope: "row" }));
      values.forEach((value, i) => {
        const column = answer.columns[i];
        row.append(column.type === "string" ? element("td", value ?? "-") : number(value, column.type, TOLD));
      });
      body.append(row);
    }
    answer.columns.forEach((column, i) => point(body, answer.rows.map((row) => row[i + 1]), i, column));
  }

  function point(body, values, i, column) {
    const numbers = values.map((value) => (typeof value === "number" ? value : null));
    const [least, greatest] = [place(numbers, (a, b) => a < b), place(numbers, (a, b) => a > b)];
    if (column.type === "string" || least < 0 || numbers[least] === numbers[greatest]) return;
    for (const [at, word] of [[least, "least"], [greatest, "greatest"]]) {
      const cell = body.rows[at].cells[i + 1];
      cell.classList.add("extreme");
      cell.append(element("small", ` ${word}`));
    }
  }

  return { extremes, marks, rows, overhangs };
})();
