"use strict";
// The index of channels: a box that leaves the rows in which all of its words are found.
(() => {
  const box = document.getElementById("find");
  const rows = [...document.querySelectorAll("tr[data-find]")];

  function find() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row) => (row.hidden = !words.every((word) => row.dataset.find.toLowerCase().includes(word))));
    document.querySelectorAll(".instrument .wide").forEach((table) => (table.hidden = !table.querySelector("tr[data-find]:not([hidden])")));
    document.querySelectorAll(".instrument").forEach((part) => (part.hidden = words.length > 0 && !part.querySelector(".wide:not([hidden])")));
    const left = rows.filter((row) => !row.hidden).length;
    document.getElementById("found").textContent = words.length ? `${left} of ${rows.length}` : "";
  }

  box.addEventListener("input", find);
  if (box.value) find(); // what a browser remembered
})();
