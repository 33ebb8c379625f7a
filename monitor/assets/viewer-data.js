"use strict";
// A channel over a time: from the server if there is one, or else from scripts with envelopes beside the page.
window.swxlakeSource = (() => {
  const LEVELS = ["ten_minutes", "hour", "day"]; // of scripts, finest first
  const MOST_BUCKETS = 5000;
  const AT_ONCE = 3; // questions to the server
  const TRIES = 5;
  const held = new Map(); // scripts by table, channel and part

  const key = (...words) => words.join("\n");
  window.swxlakeData = (table, channel, part, data) => held.set(key(table, channel, part), data);

  function create(page, root) {
    const loading = new Map();
    const free = [];
    let asking = 0;

    function script(channel, part) {
      const name = key(page.table, channel.name, part.name);
      if (!loading.has(name)) {
        loading.set(name, new Promise((done, failed) => {
          const element = document.createElement("script");
          element.src = root + channel.scripts[part.name];
          element.onload = () => done(held.get(name));
          element.onerror = () => {
            loading.delete(name);
            failed(new Error("An envelope cannot be loaded: the site may just be written anew. Reload the page."));
          };
          document.head.append(element);
        }));
      }
      return loading.get(name);
    }

    // The finest level that reaches back to what is asked and is not too long.
    function partsFor(start, stop) {
      const from = Math.max(start, page.span[0]);
      for (const level of LEVELS) {
        const parts = page.parts.filter((part) => part.level === level);
        const reaches = parts.length && Math.min(...parts.map((part) => part.start)) <= from;
        if (reaches && (stop - start) / (parts[0].width * 1e6) <= MOST_BUCKETS) {
          return parts.filter((part) => part.start < stop && part.stop > start);
        }
      }
      return page.parts.filter((part) => part.level === "day");
    }

    async function fromScripts(channel, start, stop) {
      const parts = partsFor(start, stop);
      const level = parts.length ? parts[0].level : "day";
      const found = { level, width: 0, rows: 0, time: [], low: [], high: [], mean: [], count: [] };
      for (const data of await Promise.all(parts.map((part) => script(channel, part)))) {
        found.width = data.width * 1e6;
        data.at.forEach((step, i) => {
          const time = (data.first + step * data.width) * 1e6;
          if (time + found.width <= start || time >= stop) return;
          found.time.push(time);
          found.rows += data.count[i];
          for (const name of ["low", "high", "mean", "count"]) found[name].push(data[name][i]);
        });
      }
      return found;
    }

    async function turn() {
      if (asking >= AT_ONCE) await new Promise((go) => free.push(go));
      asking += 1;
    }

    function leave() {
      asking -= 1;
      if (free.length) free.shift()();
    }

    async function ask(path, query, signal) {
      await turn();
      try {
        for (let left = TRIES; ; left -= 1) {
          signal.throwIfAborted();
          const answer = await fetch(`${root}${window.swxlakeApi}${path}?${new URLSearchParams(query)}`, { signal });
          if (answer.ok) return await answer.json();
          if (answer.status !== 503 || left <= 1) throw new Error(await reason(answer));
          await new Promise((go) => setTimeout(go, 1000 * Number(answer.headers.get("Retry-After") || 1)));
        }
      } finally {
        leave();
      }
    }

    // A server that is full, or one before ours, may answer in other words than JSON.
    async function reason(answer) {
      const said = await answer.json().catch(() => ({}));
      return said.error || `The server answered ${answer.status}. Try again.`;
    }

    async function fromServer(channel, start, stop, points, signal) {
      const query = { table: page.table, channel: channel.name, start, stop, points };
      const { width_s: width, ...found } = await ask("series", query, signal);
      if (found.level === "raw") return { ...found, width: 0, low: found.value, high: found.value, mean: found.value };
      return { ...found, width: width * 1e6 };
    }

    const served = Boolean(window.swxlakeApi);
    return {
      served,
      series: (channel, start, stop, points, signal) =>
        served ? fromServer(channel, start, stop, points, signal) : fromScripts(channel, start, stop),
      rows: (channels, start, stop, limit, signal) => {
        const columns = channels.map((channel) => channel.name).join(",");
        return ask("rows", { table: page.table, columns, start, stop, limit }, signal);
      },
    };
  }

  return { create };
})();
