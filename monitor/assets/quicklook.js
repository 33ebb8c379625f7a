// SPDX-License-Identifier: Apache-2.0
"use strict";
// The picture of a product-day, drawn again so that it can be zoomed. Its numbers come in a script of their own.
(() => {
  const picture = window.swxlakeQuicklook;
  const plot = document.getElementById("plot");
  if (!picture || !plot || !window.Plotly) return;
  const PANEL = 190; // pixels of a panel, and below of what stands around it
  const STATE = 26;
  const EMPTY = 52;
  const GAP = 44;
  const TOP = 34;
  const BOTTOM = 42;
  const NARROW = 640;
  const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

  const iso = (ms) => new Date(ms).toISOString().slice(0, -1);
  const safe = (words) => String(words).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const power = (n) => "10" + String(n).replace("-", "⁻").replace(/\d/g, (digit) => SUPERSCRIPT[digit]);

  // Text as Plotly has it, in lines of about so many characters.
  const wrapped = (words, width) => safe(words.replace(new RegExp(`(.{${width}}\\S*) `, "g"), "$1\n")).replace(/\n/g, "<br>");

  function palette() {
    const probe = document.createElement("i");
    document.body.append(probe);
    const found = {};
    for (const name of ["ink", "paper", "quiet", "line"]) {
      probe.style.color = `var(--${name})`;
      found[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    const [red, green, blue] = found.paper.match(/[\d.]+/g).map(Number);
    return { ...found, dark: red + green + blue < 384 };
  }

  const faint = (hex, lines) => `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${lines > 3 ? 0.16 : 0.3})`;

  // Marks at the lower edge of a log axis, of bins whose mean is not above 0.
  function marks(panel, line, row) {
    const [low, high] = panel.ends;
    const place = low * (high / low) ** (panel.marks[0] + panel.marks[1] * row);
    return { x: line.below.map((i) => iso(panel.first + (i + 0.5) * panel.width)), y: line.below.map(() => place) };
  }

  // Stretches of bins that hold a value, with no gap longer than what lies between two rows.
  function stretches(values, reach) {
    const found = [];
    let last = -Infinity;
    values.forEach((value, i) => {
      if (value === null) return;
      if (i - last > reach) found.push([]);
      found[found.length - 1].push(i);
      last = i;
    });
    return found;
  }

  function lines(panel, axis, legend, dark) {
    const middle = (i) => iso(panel.first + (i + 0.5) * panel.width);
    return panel.lines.flatMap((line, row) => {
      const color = line.color[dark ? 1 : 0];
      const pieces = stretches(line.mean, panel.reach);
      const base = { type: "scatter", xaxis: "x", yaxis: axis, legend, legendgroup: `${axis} ${line.label}` };
      const band = { x: [], y: [] };
      const mean = { x: [], y: [] };
      const bars = { x: [], y: [] }; // of bins that stand alone, where a band has no width
      const extremes = [];
      for (const piece of pieces) {
        const back = [...piece].reverse();
        band.x.push(...piece.map(middle), ...back.map(middle), null);
        band.y.push(...piece.map((i) => line.high[i]), ...back.map((i) => line.low[i]), null);
        mean.x.push(...piece.map(middle), middle(piece[piece.length - 1]));
        mean.y.push(...piece.map((i) => line.mean[i]), null);
        if (piece.length === 1) {
          bars.x.push(middle(piece[0]), middle(piece[0]), null);
          bars.y.push(line.low[piece[0]], line.high[piece[0]], null);
        }
        extremes.push(...piece.map((i) => [line.low[i], line.high[i]]), [null, null]);
      }
      const name = safe(line.label);
      const banded = line.low.length > 0;
      const range = banded ? " (%{customdata[0]:.12~g} to %{customdata[1]:.12~g})" : "";
      const mode = pieces.some((piece) => piece.length === 1) ? "lines+markers" : "lines";
      const hovertemplate = `${name}: <b>%{y:.12~g}</b> ${safe(panel.unit)}${range}<extra></extra>`;
      return [
        ...(banded ? [{ ...base, ...band, mode: "lines", line: { width: 0 }, fill: "toself", fillcolor: faint(color, panel.lines.length), hoverinfo: "skip", showlegend: false }] : []),
        ...(line.below.length ? [{ ...base, ...marks(panel, line, row), mode: "markers", marker: { symbol: "triangle-down-open", size: 6, color }, hovertemplate: `${name}: mean not above 0<extra></extra>`, showlegend: false }] : []),
        ...(banded && bars.x.length ? [{ ...base, ...bars, mode: "lines", line: { color, width: 1 }, hoverinfo: "skip", showlegend: false }] : []),
        { ...base, ...mean, mode, name, customdata: extremes, marker: { color, size: 3 }, line: { color, width: 1.3 }, hovertemplate, showlegend: panel.lines.length > 1 },
      ];
    });
  }

  // A bar for each stretch of bins in which something holds.
  function bars(panel, row, holds) {
    const found = { x: [], y: [] };
    for (let i = 0, start = -1; i <= panel.bins; i += 1) {
      const here = i < panel.bins && holds(i);
      if (here && start < 0) start = i;
      if (here || start < 0) continue;
      found.x.push(iso(panel.first + start * panel.width), iso(panel.first + i * panel.width), null);
      found.y.push(row, row, null);
      start = -1;
    }
    return found;
  }

  // Bars where a state is true or not 0: in all rows of a bin, or paler, in some of them.
  function states(panel, axis, dark) {
    return panel.lines.flatMap((line, row) => {
      const isTrue = (i) => line.low[i] > 0 || line.high[i] < 0; // null is neither
      const some = bars(panel, row, (i) => !isTrue(i) && (line.low[i] || line.high[i]));
      const every = bars(panel, row, isTrue);
      const color = line.color[dark ? 1 : 0];
      const name = safe(line.label);
      const base = { type: "scatter", mode: "lines", xaxis: "x", yaxis: axis, name, showlegend: false };
      return [
        { ...base, ...some, line: { color, width: 12 }, opacity: 0.5, hovertemplate: `${name}: in some rows<extra></extra>` },
        { ...base, ...every, line: { color, width: 12 }, hovertemplate: `${name}<extra></extra>` },
      ];
    });
  }

  function cells(panel, axis, place, narrow, colors) {
    const log = panel.scale === "log";
    const shade = (value) => (value === null ? null : log ? Math.log10(Math.max(value, panel.limits[0])) : value);
    const ends = panel.limits.map((limit) => (log ? Math.log10(limit) : limit));
    const bar = {
      len: place.height, y: place.middle, yanchor: "middle", thickness: narrow ? 8 : 12, x: 1.01, outlinewidth: 0,
      tickfont: { size: 11 }, title: narrow ? undefined : { text: safe(panel.values), side: "right", font: { size: 11 } },
    };
    if (log) {
      const decades = [];
      for (let n = Math.ceil(ends[0]); n <= Math.floor(ends[1]); n += 1) decades.push(n);
      if (decades.length) Object.assign(bar, { tickvals: decades, ticktext: decades.map(power) });
    }
    const x = Array.from({ length: panel.bins + 1 }, (_, i) => iso(panel.first + i * panel.width));
    return [{
      type: "heatmap", x, y: panel.edges, z: panel.cells.map((row) => row.map(shade)), customdata: panel.cells, xaxis: "x", yaxis: axis,
      zmin: ends[0], zmax: ends[1], colorscale: "Viridis", colorbar: { ...bar, tickcolor: colors.quiet }, hoverongaps: false, showlegend: false,
      hovertemplate: `%{x|%H:%M:%S}, ${safe(panel.vertical)} %{y:.5~g}: <b>%{customdata:.12~g}</b><extra></extra>`,
    }];
  }

  const size = (panel) => ({ states: () => STATE * (panel.lines.length + 1), empty: () => EMPTY })[panel.kind]?.() ?? PANEL;

  function figure() {
    const colors = palette();
    const narrow = plot.clientWidth < NARROW;
    const inner = picture.panels.reduce((sum, panel) => sum + size(panel), 0) + GAP * (picture.panels.length - 1);
    const layout = {
      height: inner + TOP + BOTTOM, margin: { l: narrow ? 52 : 84, r: narrow ? 48 : 170, t: TOP, b: BOTTOM }, hovermode: "closest", dragmode: narrow ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "inherit", size: 12, color: colors.ink }, annotations: [],
      xaxis: { type: "date", range: [iso(picture.start), iso(picture.stop)], minallowed: iso(picture.start), maxallowed: iso(picture.stop), gridcolor: colors.line, linecolor: colors.quiet, ticks: "outside", anchor: "free", position: 0, title: { text: "UTC", standoff: 6 } },
    };
    const data = [];
    let top = 1;
    picture.panels.forEach((panel, index) => {
      const bottom = Math.max(0, top - size(panel) / inner);
      const number = index ? String(index + 1) : "";
      const place = { height: top - bottom, middle: (top + bottom) / 2 };
      layout[`yaxis${number}`] = vertical(panel, [bottom, top], narrow, colors);
      layout[`legend${number}`] = { x: 1.01, y: top, yanchor: "top", font: { size: 11 }, bgcolor: "rgba(0,0,0,0)", visible: !narrow };
      layout.annotations.push({ text: `<b>${safe(panel.title)}</b>${panel.basis && !narrow ? `  <span style="color:${colors.quiet}">${safe(panel.basis)}</span>` : ""}`, x: 0, xref: "paper", xanchor: "left", y: top, yref: "paper", yanchor: "bottom", showarrow: false, font: { size: 12.5 } });
      const axis = `y${number}`;
      if (panel.kind === "empty") {
        layout.annotations.push({ text: wrapped(panel.note, narrow ? 34 : 110), x: 0.5, xref: "paper", y: place.middle, yref: "paper", showarrow: false, font: { size: narrow ? 10 : 12, color: colors.quiet } });
        data.push({ type: "scatter", x: [null], y: [null], xaxis: "x", yaxis: axis, showlegend: false });
      } else if (panel.kind === "cells") data.push(...cells(panel, axis, place, narrow, colors));
      else if (panel.kind === "states") data.push(...states(panel, axis, colors.dark));
      else data.push(...lines(panel, axis, `legend${number}`, colors.dark));
      top = bottom - GAP / inner;
    });
    return { data, layout };
  }

  function vertical(panel, domain, narrow, colors) {
    const title = narrow || panel.kind === "empty" ? undefined : { text: safe(panel.vertical).replace(" [", "<br>["), font: { size: 11.5 }, standoff: 4 };
    const axis = { domain, title, gridcolor: colors.line, zeroline: false, linecolor: colors.quiet, mirror: true, showline: true, ticks: "outside", ticklen: 4, exponentformat: "power" };
    if (panel.kind === "empty") return { ...axis, showticklabels: false, ticks: "", showgrid: false, fixedrange: true, range: [0, 1] };
    if (panel.kind === "states") {
      const rows = panel.lines.map((line) => safe(line.label));
      return { ...axis, tickvals: rows.map((_, i) => i), ticktext: rows, range: [rows.length - 0.4, -0.6], fixedrange: true, showgrid: false };
    }
    const log = (panel.kind === "cells" ? panel.verticalScale : panel.scale) === "log";
    if (panel.ends) axis.range = panel.ends.map(Math.log10);
    if (panel.kind !== "cells") return { ...axis, type: log ? "log" : "linear", dtick: log ? 1 : undefined, nticks: log ? undefined : 6 };
    const ends = [panel.edges[0], panel.edges[panel.edges.length - 1]];
    return { ...axis, type: log ? "log" : "linear", dtick: log ? 1 : undefined, range: log ? ends.map(Math.log10) : ends, showgrid: false };
  }

  function draw() {
    const { data, layout } = figure();
    plot.style.height = `${layout.height}px`;
    window.Plotly.react(plot, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  }

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia(`(max-width: ${NARROW}px)`).addEventListener("change", draw);
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-scheme"] });
})();
