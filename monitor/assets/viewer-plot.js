"use strict";
// The figure: one plot below the other on one axis of time; envelopes, means, rows, limits, alerts and anomalies.
window.swxlakePlot = (() => {
  const { iso, text, length } = window.swxlakeTime;
  const MOST_LABELS = 6;
  const LABEL = 110; // pixels that a label takes
  const MOST_SPANS = 80; // a plot with more of them is unreadable; the list below has all
  const NONE = { shapes: [], notes: [] };
  const NEAR = 2; // a limit so many heights of the data away is drawn in scale, others at the edge

  const safe = (words) => String(words).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  // Colors of the page as they are computed: the plot library knows nothing of var() and light-dark().
  function palette() {
    const probe = document.createElement("i");
    document.body.append(probe);
    const found = {};
    for (const name of ["ink", "paper", "quiet", "line", "panel", "channel", "yellow", "red", "info"]) {
      probe.style.color = `var(--${name})`;
      found[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    return found;
  }

  function faint(color, alpha) {
    const [red, green, blue] = color.match(/[\d.]+/g);
    return `rgba(${red},${green},${blue},${alpha})`;
  }

  // The longest step in time over which a line may go: three cadences, as declared or as most rows have it.
  function tolerance(series, page) {
    const cadence = page.cadence ? 3e6 * page.cadence : 0;
    if (series.width) return Math.max(series.width, cadence);
    if (cadence) return cadence;
    const steps = series.time.slice(1).map((time, i) => time - series.time[i]).sort((a, b) => a - b);
    return steps.length ? 3 * steps[Math.floor(steps.length * 0.9)] : 0;
  }

  // Stretches without a gap, as pairs of places; the second one is that after the last. What has no value is a gap.
  function stretches(series, longest) {
    const found = [];
    let first = -1;
    series.time.forEach((time, i) => {
      if (series.mean[i] === null) {
        first = -1;
      } else if (first < 0 || time - series.time[i - 1] > longest) {
        first = i;
        found.push([i, i + 1]);
      } else {
        found[found.length - 1][1] = i + 1;
      }
    });
    return found;
  }

  function traces(series, channel, page, axis, colors) {
    const longest = tolerance(series, page);
    const pieces = stretches(series, longest);
    const base = { type: "scatter", xaxis: "x", yaxis: axis.name, showlegend: false };
    return (series.width ? buckets : rows)(series, channel, pieces, base, axis, colors);
  }

  // ---- the axis of values: linear, or log with what it leaves out

  const filled = (series) => series.high.some((value) => value !== null);
  const above = (series) => series.high.some((value) => value > 0);

  // What a trace draws of a value: nothing of 0 or less where the axis is log; of an envelope its part above the edge.
  const drawn = (value, axis) => (value === null || !axis.log || value > 0 ? value : axis.floor);

  // What of a channel a log axis does not show, in words; empty if all is shown.
  function leftOut(series, channel) {
    if (!filled(series)) return "";
    if (!above(series)) return `No value of ${channel.name} is above 0, so its axis is linear.`;
    const count = series.low.filter((value) => value !== null && value <= 0).length;
    const limit = channel.limits.some(({ low, high }) => [low, high].some((end) => end !== null && end <= 0));
    const values = `values of 0 and less, in ${count.toLocaleString("en")} of ${series.low.length.toLocaleString("en")} ${series.width ? "envelopes" : "rows"}`;
    const said = [count ? values : "", limit ? "limits of 0 and less" : ""].filter(Boolean).join("; ");
    return said && `The log axis of ${channel.name} leaves out: ${said}.`;
  }

  function rows(series, channel, pieces, base, axis, colors) {
    const x = [];
    const y = [];
    const words = [];
    for (const [first, after] of pieces) {
      for (let i = first; i < after; i += 1) {
        x.push(iso(series.time[i]));
        y.push(drawn(series.mean[i], axis));
        words.push(`${text(series.time[i])}<br><b>${window.swxlakeValue(series.mean[i], channel.type)}</b> ${safe(channel.unit)}`);
      }
      x.push(x[x.length - 1]);
      y.push(null);
      words.push("");
    }
    const mode = series.time.length > 4000 ? "lines" : "lines+markers";
    const size = series.time.length > 600 ? 3 : 5;
    const marker = { color: colors.channel, size };
    const line = { color: colors.channel, width: 1.2 };
    // Rows are in view, so that a sample at the edge is drawn whole.
    return [{ ...base, x, y, mode, line, marker, text: words, cliponaxis: false, hovertemplate: "%{text}<extra></extra>" }];
  }

  function buckets(series, channel, pieces, base, axis, colors) {
    const area = { x: [], y: [] };
    const mean = { x: [], y: [], text: [] };
    for (const [first, after] of pieces) {
      const places = Array.from({ length: after - first }, (_, i) => first + i);
      const ends = places.map((i) => [series.time[i], end(series, i, after)]);
      const steps = (values) => places.flatMap((i) => Array(2).fill(drawn(values[i], axis)));
      const times = ends.flat().map(iso);
      area.x.push(...times, ...[...times].reverse(), null);
      area.y.push(...steps(series.high), ...steps(series.low).reverse(), null);
      const middles = ends.map(([from, to]) => Math.round((from + to) / 2));
      const outer = [ends[0][0], ...middles, ends[ends.length - 1][1]]; // so that one bucket alone is a line, too
      const inner = [first, ...places, after - 1];
      mean.x.push(...outer.map(iso), iso(outer[outer.length - 1]));
      mean.y.push(...inner.map((i) => (axis.log && series.mean[i] <= 0 ? null : series.mean[i])), null);
      mean.text.push(...inner.map((i) => bucket(series, i, channel)), "");
    }
    const edge = { color: faint(colors.channel, 0.55), width: 1 }; // or a spike narrower than a pixel would fade
    return [
      { ...base, ...area, mode: "lines", line: edge, fill: "toself", fillcolor: faint(colors.channel, 0.26), hoverinfo: "skip" },
      { ...base, ...mean, mode: "lines", line: { color: colors.channel, width: 1.6 }, hovertemplate: "%{text}<extra></extra>" },
    ];
  }

  // A bucket reaches to the next one of its stretch: with few rows there are not rows in each.
  const end = (series, i, after) => (i + 1 < after ? series.time[i + 1] : series.time[i] + series.width);

  function bucket(series, i, channel) {
    const [low, high, mean] = [series.low[i], series.high[i], series.mean[i]].map((v) => window.swxlakeValue(v, channel.type));
    const head = `${text(series.time[i])}, ${length(series.width)}, ${series.count[i].toLocaleString("en")} rows`;
    const short = Number(Number(mean).toPrecision(6));
    return `${head}<br>greatest <b>${high}</b><br>mean ${short}<br>least <b>${low}</b> ${safe(channel.unit)}`;
  }

  // Lowest and highest value in view, with the limits that are near; what is far is told at the edge.
  function reach(series, channel, fit, log) {
    const values = [...series.low, ...series.high].filter((value) => value !== null && (!log || value > 0));
    const scaled = (value) => (log ? Math.log10(value) : value);
    let low = values.length ? scaled(values.reduce((a, b) => Math.min(a, b))) : 0;
    let high = values.length ? scaled(values.reduce((a, b) => Math.max(a, b))) : 1;
    const size = high - low || Math.abs(high) * 0.1 || 1;
    const [floor, roof] = [low - NEAR * size, high + NEAR * size];
    for (const { value } of ends(channel, log)) {
      const at = scaled(value);
      if (fit || (at >= floor && at <= roof)) [low, high] = [Math.min(low, at), Math.max(high, at)];
    }
    const rim = (high - low || size) * 0.08;
    return [low - rim, high + rim];
  }

  function ends(channel, log) {
    return channel.limits.flatMap((limit) =>
      ["low", "high"].filter((name) => limit[name] !== null && (!log || limit[name] > 0)).map((name) => ({
        value: limit[name],
        severity: limit.severity,
        words: `${limit.severity} ${name === "low" ? "below" : "above"} ${limit[name]}${limit.when ? ` when ${limit.when}` : ""}`,
      })));
  }

  function limits(channel, range, axis, log, colors) {
    const shapes = [];
    const notes = [];
    const beyond = { above: 0, below: 0 };
    for (const { value, severity, words } of ends(channel, log)) {
      const at = log ? Math.log10(value) : value;
      const color = colors[severity];
      const note = { xref: "paper", x: 1, xanchor: "right", showarrow: false, font: { color, size: 11 }, bgcolor: faint(colors.paper, 0.75) };
      if (at >= range[0] && at <= range[1]) {
        const line = { color, width: 1.4, dash: severity === "red" ? "dash" : "dot" };
        shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: axis, y0: value, y1: value, line, name: "limit" });
        notes.push({ ...note, yref: axis, y: at, yanchor: at > (range[0] + range[1]) / 2 ? "top" : "bottom", text: safe(words) });
      } else {
        const side = at > range[1] ? "above" : "below";
        const shift = 14 * beyond[side] * (side === "above" ? -1 : 1);
        beyond[side] += 1;
        notes.push({ ...note, yref: `${axis} domain`, y: side === "above" ? 1 : 0, yanchor: side === "above" ? "top" : "bottom", yshift: shift, text: `${safe(words)} ${side === "above" ? "↑" : "↓"}` });
      }
    }
    return { shapes, notes };
  }

  // What is shaded of a mark: its anomalies of this channel; of an alert that has none a line at its start.
  function shades(mark, channel, view) {
    const line = mark.kind === "alert" && !mark.spans.length && (!mark.column || mark.column === channel.column);
    const found = line ? [{ from: mark.from, until: mark.from }] : mark.spans.filter(({ column }) => !column || column === channel.column);
    return found.filter(({ from, until }) => (until > view.start || from >= view.start) && from < view.stop)
      .map(({ from, until }) => ({ from: Math.max(from, view.start), until: Math.min(until, view.stop) }));
  }

  function spans(channel, view, axis, root, colors) {
    const shapes = [];
    const notes = [];
    let last = -Infinity;
    for (const mark of view.marks) {
      const color = colors[mark.severity] || colors.info;
      const solid = mark.kind === "alert";
      const found = shades(mark, channel, view).slice(0, MOST_SPANS - shapes.length);
      for (const { from, until } of found) {
        shapes.push({ type: from < until ? "rect" : "line", xref: "x", x0: iso(from), x1: iso(until), yref: `${axis} domain`, y0: 0, y1: 1, layer: "below", name: mark.kind,
          fillcolor: faint(color, solid ? 0.11 : 0.07), line: { color: faint(color, 0.6), width: from < until ? 1 : 1.6, dash: solid ? "solid" : "dot" } });
      }
      if (!found.length) continue;
      const from = Math.min(...found.map((shade) => shade.from));
      if (notes.length >= MOST_LABELS || Math.abs(from - last) * view.width < (view.stop - view.start) * LABEL) continue;
      last = from;
      const said = mark.word.startsWith(mark.severity) ? mark.word : `${mark.severity} ${mark.word}`;
      const words = safe(said.replaceAll("_", " ").slice(0, 32));
      const linked = mark.page ? `<a href="${root}${mark.page}" target="_self" style="color:${color}">${words}</a>` : words;
      const right = (from - view.start) / (view.stop - view.start) > 0.75;
      notes.push({ xref: "x", x: iso(from), xanchor: right ? "right" : "left", yref: `${axis} domain`, y: 0, yanchor: "bottom", yshift: 2, text: linked, showarrow: false,
        font: { color, size: 11 }, bgcolor: faint(colors.paper, 0.75) });
    }
    return { shapes, notes };
  }

  // The channel's name, and where there is room what an axis calls it.
  function heading(channel, narrow, colors) {
    const more = narrow || channel.label === channel.name ? "" : `  <span style="color:${colors.quiet}">${safe(channel.label)}</span>`;
    return `<b>${safe(channel.name)}</b>${more}`;
  }

  // What the plot library draws: `shown` has channels with their series, `view` the time.
  function figure(page, shown, view, root) {
    const colors = palette();
    const narrow = view.width < 560;
    const height = shown.length === 1 ? 380 : narrow ? 190 : 210;
    const space = 34 / (height * shown.length); // between plots, for the name of the next
    const layout = {
      height: height * shown.length + 74,
      margin: { l: narrow ? 52 : 66, r: 12, t: 30, b: 44, autoexpand: false },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colors.ink, size: 12, family: getComputedStyle(document.body).fontFamily },
      hovermode: "x", hoversubplots: "axis", hoverlabel: { bgcolor: colors.panel, bordercolor: colors.line, font: { color: colors.ink } },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", selectdirection: "h", showlegend: false,
      xaxis: { type: "date", layer: "below traces", range: [iso(view.start), iso(view.stop)], anchor: `y${shown.length > 1 ? shown.length : ""}`, gridcolor: colors.line, linecolor: colors.line,
        zeroline: false, showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: colors.quiet, nticks: narrow ? 4 : 8, hoverformat: " " },
      shapes: [], annotations: [],
    };
    const data = shown.flatMap(({ channel, series }, place) => {
      const number = place ? place + 1 : "";
      const axis = `y${number}`;
      const log = view.log(channel) && above(series);
      const some = filled(series);
      const range = reach(series, channel, view.fit, log);
      const size = 1 / shown.length;
      const top = 1 - place * size;
      layout[`yaxis${number}`] = { domain: [Math.max(top - size + (place < shown.length - 1 ? space : 0), 0), top], range, type: log ? "log" : "linear", fixedrange: true, layer: "below traces",
        gridcolor: colors.line, linecolor: colors.line, zeroline: false, title: { text: safe(channel.unit), standoff: 6 }, nticks: 6, exponentformat: "power", showticklabels: some, showgrid: some };
      if (!some) layout.annotations.push({ xref: "paper", x: 0.5, yref: `${axis} domain`, y: 0.5, showarrow: false, text: "no values here", font: { color: colors.quiet } });
      for (const { shapes, notes } of [spans(channel, view, axis, root, colors), some ? limits(channel, range, axis, log, colors) : NONE]) {
        layout.shapes.push(...shapes);
        layout.annotations.push(...notes);
      }
      layout.annotations.push({ xref: "paper", x: 0, xanchor: "left", yref: `${axis} domain`, y: 1, yanchor: "bottom", showarrow: false, text: heading(channel, narrow, colors), font: { color: colors.ink, size: 13 } });
      const floor = series.width ? 10 ** (range[0] - 1) : null; // below the edge, where nothing is seen
      return traces(series, channel, page, { name: axis, log, floor }, colors);
    });
    return { data, layout, config: { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false, showTips: false } };
  }

  return { figure, filled, leftOut };
})();
