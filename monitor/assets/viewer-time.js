"use strict";
// Times are integers: microseconds since 1970 UTC, exact in a number of JavaScript until the year 2255.
window.swxlakeTime = (() => {
  const MS = 1000;
  const FORM = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/;

  // 2026-08-01T00:00:00.000000: without a zone, as the plot library takes it and shows it unchanged.
  function iso(us) {
    const ms = Math.floor(us / MS);
    return new Date(ms).toISOString().slice(0, -1) + String(us - ms * MS).padStart(3, "0");
  }

  // The same for people: a blank instead of T, no fraction that is zero.
  function text(us) {
    return iso(us).replace("T", " ").replace(/\.?0*$/, (end) => (end.startsWith(".") ? "" : end));
  }

  // Null if it is no time. What has no zone is UTC.
  function parse(written) {
    const found = FORM.exec(written.trim());
    if (!found) return null;
    const [, year, month, day, hour = 0, minute = 0, second = 0, fraction = "", zone = "Z"] = found;
    const late = Number(hour) === 24; // the next midnight, and nothing after it
    if ((late ? Number(minute) || Number(second) || Number(fraction) : hour > 23) || minute > 59 || second > 59) return null;
    const ms = Date.UTC(year, month - 1, day);
    if (new Date(ms).getUTCDate() !== Number(day)) return null; // which the calendar would carry over
    const us = Number(fraction.slice(0, 6).padEnd(6, "0"));
    return (ms + ((hour * 60 + Number(minute)) * 60 + Number(second)) * MS) * MS + us - offset(zone);
  }

  function offset(zone) {
    if (zone === "Z") return 0;
    const digits = zone.replace(":", "");
    const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5));
    return (digits[0] === "-" ? -1 : 1) * minutes * 60e6;
  }

  function length(us) {
    const units = [[86400e6, "d"], [3600e6, "h"], [60e6, "min"], [1e6, "s"], [1e3, "ms"], [1, "µs"]];
    const [size, unit] = units.find(([size]) => us >= size) || [1, "µs"];
    return `${Number((us / size).toPrecision(3))} ${unit}`;
  }

  return { iso, text, parse, length };
})();

// A value in all of its digits, and no more: 20.1 for the float32 that is next to it.
window.swxlakeValue = (value, type) => {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number" || type !== "float32") return String(value);
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return String(short);
  }
  return String(value);
};
