"use strict";
// The address of a view: #channel,channel@start/stop@log,fit. What is behind the last @ says how it is drawn.
window.swxlakeAddress = (() => {
  const { iso, parse } = window.swxlakeTime;
  const LONGEST = 60; // of a text of others in a sentence
  const HOW = ["log", "linear", "fit"];
  const TIMES = "write two times such as 2026-08-01T14:30:00Z/2026-08-01T15:20:00Z";

  // An address that is no encoded text, as one with a percent sign that somebody typed, is taken as it stands.
  function written(hash) {
    try {
      return decodeURIComponent(hash);
    } catch {
      return hash;
    }
  }

  const quoted = (words) => `"${words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words}"`;

  // Names of channels, or of columns for all of their components.
  function chosen(names, channels, most, doubts) {
    const found = names.split(",").filter(Boolean).flatMap((name) => {
      const own = channels.filter((channel) => channel.name === name || channel.column === name).map((channel) => channel.name);
      if (!own.length) doubts.push(`no channel here is called ${quoted(name)}`);
      return own.includes(name) ? [name] : own;
    });
    const once = [...new Set(found)];
    if (once.length > most) doubts.push(`at most ${most} channels are shown at a time`);
    return once.slice(0, most);
  }

  function span(time, doubts) {
    if (!time) return null;
    const times = time.split("/").map(parse);
    if (times.length !== 2 || times.includes(null)) doubts.push(`${quoted(time)} is no time: ${TIMES}`);
    else if (times[0] > times[1]) doubts.push(`${quoted(time)} ends before it begins`);
    else return { start: times[0], stop: times[1] };
    return null;
  }

  // What an address asks for: channels, a span or null, log axes (null: as the channels are defined), fit, and doubts:
  // what of it was not understood.
  function read(hash, channels, most) {
    const [names, time = "", how = "", ...more] = written(hash).split("@");
    const doubts = [];
    const words = how.split(",").filter(Boolean);
    const odd = [...words.filter((word) => !HOW.includes(word)), ...more];
    const found = { chosen: chosen(names, channels, most, doubts), span: span(time, doubts) };
    if (odd.length) doubts.push(`${odd.map(quoted).join(", ")} is not known: write ${HOW.join(", ")}`);
    const log = words.includes("log") ? true : words.includes("linear") ? false : null;
    return { ...found, log, fit: words.includes("fit"), doubts };
  }

  function write({ chosen, start, stop, log, fit }) {
    const how = [log === null ? "" : log ? "log" : "linear", fit ? "fit" : ""].filter(Boolean).join(",");
    return `#${chosen.join(",")}@${iso(start)}Z/${iso(stop)}Z${how ? `@${how}` : ""}`;
  }

  return { read, write };
})();
