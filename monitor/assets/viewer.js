"use strict";
// The page of a table's channels: what is chosen, what time is in view, and what happens when either changes.
(() => {
  const { text, parse, length } = window.swxlakeTime;
  const LEVELS = { raw: "rows as they are", minute: "envelopes of 1 min", ten_minutes: "envelopes of 10 min", hour: "envelopes of 1 h", day: "envelopes of 1 day" };
  const MOST_CHANNELS = 12;
  const MOST_ROWS = 1000;
  const SHORTEST = 1000; // µs in view
  const PATIENCE = 120; // ms to wait for the next key or click before asking
  const FIRST_VIEW = 30 * 86400e6;
  const LONGEST_ROWS = 31 * 86400e6;
  const STATIC = "This page holds envelopes alone; swxlake monitor serve zooms to rows.";
  const CLEAR = "rgba(0,0,0,0)";
  const EMPTY = { height: 380, xaxis: { visible: false }, yaxis: { visible: false }, paper_bgcolor: CLEAR, plot_bgcolor: CLEAR };

  const get = (id) => document.getElementById(id);
  const root = get("viewer").dataset.root;
  const page = JSON.parse(get("viewer-data").textContent);
  const source = window.swxlakeSource.create(page, root);
  const whole = { start: Math.floor(page.span[0] / 60e6) * 60e6, stop: Math.ceil((page.span[1] + 1) / 60e6) * 60e6 };
  const marks = page.marks.map(({ to, start, stop, spans, ...mark }) => ({
    ...mark, ...lasting(start, stop), page: to, open: stop === null, spans: spans.map((span) => ({ ...span, ...lasting(span.start, span.stop) })),
  }));
  const state = { chosen: [], start: whole.start, stop: whole.stop, log: null, fit: false, doubts: [] };
  const isLog = (channel) => state.log ?? channel.scale === "log";
  let shown = [];
  let asked = new AbortController();
  let timer = 0;

  // ---- the address

  function readAddress() {
    const { chosen, span, log, fit, doubts } = window.swxlakeAddress.read(location.hash.slice(1), page.channels, MOST_CHANNELS);
    state.chosen = chosen.length ? chosen : page.channels.slice(0, 1).map((channel) => channel.name);
    Object.assign(state, span ? roomy(span.start, span.stop) : { start: Math.max(whole.start, whole.stop - FIRST_VIEW), stop: whole.stop });
    Object.assign(state, { log, fit, doubts });
  }

  // What of the address was not understood stays said, and in the address, until somebody goes elsewhere.
  function sayDoubts() {
    const instead = `Shown: ${state.chosen.join(", ")}, ${text(state.start)} to ${text(state.stop)}.`;
    get("doubts").textContent = state.doubts.length ? `Not understood in the address: ${state.doubts.join("; ")}. ${instead}` : "";
  }

  // What lasts no time at all, such as an alert about one row, is looked at with a minute around it.
  const roomy = (start, stop) => (stop - start < SHORTEST ? { start: start - 30e6, stop: stop + 30e6 } : { start, stop });

  function writeAddress() {
    if (!state.doubts.length) history.replaceState(null, "", window.swxlakeAddress.write(state));
  }

  // ---- time in view

  function lasting(start, stop) {
    const from = parse(start) ?? whole.start;
    const last = stop === null ? whole.stop : parse(stop);
    return { from, last, until: Math.max(last, from + 1) }; // what lasts no time is drawn, too
  }

  function show(start, stop) {
    const middle = (start + stop) / 2;
    const half = Math.max((stop - start) / 2, SHORTEST / 2);
    state.start = Math.round(middle - half);
    state.stop = Math.round(middle + half);
    state.doubts = [];
    changed();
  }

  // A span around the middle of the view, or at its end where that is the end of the data, but never beyond them.
  function showSpan(size) {
    const atEnd = state.stop >= whole.stop;
    const middle = (state.start + state.stop) / 2;
    const start = atEnd ? whole.stop - size : Math.min(Math.max(middle - size / 2, whole.start), Math.max(whole.stop - size, whole.start));
    show(start, start + size);
  }

  const zoom = (factor) => {
    const middle = (state.start + state.stop) / 2;
    const half = ((state.stop - state.start) / 2) * factor;
    show(middle - half, middle + half);
  };
  const pan = (share) => show(state.start + share * (state.stop - state.start), state.stop + share * (state.stop - state.start));
  const all = () => show(whole.start, whole.stop);
  const look = (time, width) => (width ? show(time - width, time + 2 * width) : show(time - 30e6, time + 30e6));

  // ---- asking and drawing

  function changed() {
    get("viewer").setAttribute("aria-busy", "true");
    writeAddress();
    sayDoubts();
    get("start").value = text(state.start);
    get("stop").value = text(state.stop);
    const everything = state.start === whole.start && state.stop === whole.stop;
    document.querySelectorAll("[data-span]").forEach((button) => {
      button.setAttribute("aria-pressed", String(!everything && Number(button.dataset.span) === state.stop - state.start));
    });
    get("all").setAttribute("aria-pressed", String(everything));
    clearTimeout(timer);
    timer = setTimeout(load, PATIENCE);
  }

  async function load() {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const view = { start: state.start, stop: state.stop };
    const channels = state.chosen.map((name) => page.channels.find((channel) => channel.name === name));
    const points = Math.min(Math.max(get("plot").clientWidth, 200), 4000); // the server may give three times as many
    try {
      const found = await Promise.all(channels.map((channel) => source.series(channel, view.start, view.stop, points, signal)));
      if (signal.aborted) return;
      shown = channels.map((channel, i) => ({ channel, series: found[i] }));
      draw();
      await rows(channels, view, signal);
    } catch (error) {
      if (!signal.aborted) fail(error);
    } finally {
      if (!signal.aborted) get("viewer").setAttribute("aria-busy", "false");
    }
  }

  // What was drawn is of another time: none of it stays under the new one.
  function fail(error) {
    shown = [];
    nothing(error.message);
    get("rows").replaceChildren();
    get("rows-about").textContent = "";
  }

  function draw() {
    if (!shown.length) return nothing(state.chosen.length ? get("level").textContent : "Choose a channel.");
    const inView = marks.filter(concerns);
    const view = { start: state.start, stop: state.stop, fit: state.fit, log: isLog, width: get("plot").clientWidth, marks: inView };
    if (!shown.some(({ series }) => series.time.length)) {
      nothing("", state.stop > whole.start && state.start < whole.stop ? view : null);
      get("level").append(`No data here, ${text(state.start)} to ${text(state.stop)}. `, toData());
    } else {
      plot(view);
      window.swxlakeTables.extremes(get("extremes"), shown, view, look);
      get("level").textContent = about();
    }
    window.swxlakeTables.marks(get("marks"), inView, root);
  }

  function plot(view) {
    const { data, layout, config } = window.swxlakePlot.figure(page, shown, view, root);
    window.Plotly.react(get("plot"), data, layout, config);
  }

  // A link to all there is.
  function toData() {
    const link = document.createElement("a");
    link.href = window.swxlakeAddress.write({ ...state, ...whole });
    link.textContent = `Data are from ${text(page.span[0])} to ${text(page.span[1])}.`;
    return link;
  }

  // Without values; where there are data before and after, the time is drawn with what is marked in it.
  function nothing(words, view = null) {
    get("level").textContent = words;
    if (view) plot(view);
    else window.Plotly.react(get("plot"), [], EMPTY, { displayModeBar: false, responsive: true });
    get("extremes").replaceChildren();
    get("marks").replaceChildren();
  }

  // Whether a mark is in view: its anomalies, not what is healthy between them.
  function concerns(mark) {
    const inView = ({ from, until, column }) => until > state.start && from < state.stop && (!column || shown.some(({ channel }) => channel.column === column));
    return mark.spans.length ? mark.spans.some(inView) : inView(mark);
  }

  function about() {
    const levels = [...new Set(shown.map(({ series }) => LEVELS[series.level]))].join(", ");
    const count = Math.max(...shown.map(({ series }) => series.rows)); // channels are of the same rows
    const about = shown.some(({ series }) => window.swxlakeTables.overhangs(series, state)) ? "about " : "";
    const said = `${length(state.stop - state.start)} in view: ${levels}, ${about}${count.toLocaleString("en")} rows.`;
    const out = shown.filter(({ channel }) => isLog(channel)).map(({ series, channel }) => window.swxlakePlot.leftOut(series, channel));
    return [said, ...out, source.served ? "" : STATIC].filter(Boolean).join(" ");
  }

  async function rows(channels, view, signal) {
    const note = get("rows-about");
    const near = shown.length && shown.every(({ series }) => series.level === "raw") && view.stop - view.start <= LONGEST_ROWS;
    get("rows").replaceChildren();
    if (!source.served) {
      note.textContent = "Rows are shown by swxlake monitor serve.";
    } else if (!shown.some(({ series }) => series.time.length)) {
      note.textContent = "No rows in view.";
    } else if (!near) {
      note.textContent = "Zoom in until rows are drawn, and they are listed here with their exact times and values.";
    } else {
      const answer = await source.rows(channels, view.start, view.stop, MOST_ROWS, signal);
      window.swxlakeTables.rows(get("rows"), answer);
      note.textContent = answer.more ? `The first ${MOST_ROWS.toLocaleString("en")} rows in view. Zoom in for the others.` : `${answer.rows.length.toLocaleString("en")} rows in view.`;
    }
  }

  // ---- the list of channels

  function choices() {
    const items = page.channels.map((channel) => {
      const box = document.createElement("input");
      box.type = "checkbox";
      box.value = channel.name;
      box.addEventListener("change", () => choose(channel.name, box.checked));
      const label = document.createElement("label");
      const words = document.createElement("span");
      words.textContent = channel.name.replaceAll("_", "_\u200b"); // where a long name may break
      label.title = channel.description;
      label.append(box, words);
      const item = document.createElement("li");
      item.append(label);
      return item;
    });
    get("choices").replaceChildren(...items);
  }

  function choose(name, wanted) {
    const others = state.chosen.filter((other) => other !== name);
    const now = wanted ? [...others, name] : others;
    state.chosen = page.channels.map((channel) => channel.name).filter((known) => now.includes(known)).slice(0, MOST_CHANNELS);
    state.doubts = [];
    tick();
    changed();
  }

  // How it is drawn; what is drawn stays the same.
  function draws(how) {
    Object.assign(state, how, { doubts: [] });
    tick();
    sayDoubts();
    writeAddress();
    draw();
  }

  function tick() {
    get("choices").querySelectorAll("input").forEach((box) => {
      box.checked = state.chosen.includes(box.value);
      box.disabled = !box.checked && state.chosen.length >= MOST_CHANNELS;
    });
    const channels = page.channels.filter((channel) => state.chosen.includes(channel.name));
    const logs = channels.filter(isLog).length;
    get("log").checked = logs > 0 && logs === channels.length;
    get("log").indeterminate = logs > 0 && logs < channels.length;
    get("fit").checked = state.fit;
    get("fit").disabled = !channels.some((channel) => channel.limits.length);
    get("chosen").textContent = `${state.chosen.length} of ${page.channels.length}`;
  }

  // ---- what people do

  const KEYS = { ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": all, Home: all };

  function listen() {
    get("earlier").addEventListener("click", () => pan(-0.5));
    get("later").addEventListener("click", () => pan(0.5));
    get("nearer").addEventListener("click", () => zoom(0.5));
    get("farther").addEventListener("click", () => zoom(2));
    get("all").addEventListener("click", all);
    get("log").addEventListener("change", () => draws({ log: get("log").checked }));
    get("fit").addEventListener("change", () => draws({ fit: get("fit").checked }));
    document.querySelectorAll("[data-span]").forEach((button) => button.addEventListener("click", () => showSpan(Number(button.dataset.span))));
    get("times").addEventListener("submit", (event) => {
      event.preventDefault();
      const [start, stop] = [parse(get("start").value), parse(get("stop").value)];
      if (start === null || stop === null || start >= stop) get("level").textContent = "Write two times such as 2026-08-01 12:00:00, the earlier one first.";
      else show(start, stop);
    });
    get("filter").addEventListener("input", () => {
      const wanted = get("filter").value.toLowerCase();
      get("choices").querySelectorAll("li").forEach((item) => (item.hidden = !item.querySelector("input").value.toLowerCase().includes(wanted)));
    });
    get("plot").addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || !KEYS[event.key]) return;
      event.preventDefault();
      KEYS[event.key]();
    });
    addEventListener("hashchange", begin);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    new MutationObserver(draw).observe(document.documentElement, { attributes: true });
  }

  function hear() {
    get("plot").on("plotly_relayout", (event) => {
      const [start, stop] = ["xaxis.range[0]", "xaxis.range[1]"].map((name) => (event[name] === undefined ? null : parse(String(event[name]))));
      if (start !== null && stop !== null) show(start, stop);
    });
    get("plot").on("plotly_doubleclick", all);
  }

  function begin() {
    readAddress();
    tick();
    changed();
  }

  get("chooser").open = matchMedia("(min-width: 800px)").matches;
  choices();
  window.Plotly.newPlot(get("plot"), [], EMPTY, { displayModeBar: false, responsive: true }).then(hear);
  listen();
  begin();
})();
