// SPDX-License-Identifier: Apache-2.0
// Light or dark as it was chosen the last time, before anything is painted.
"use strict";
try {
  const chosen = localStorage.getItem("swxlake-scheme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.scheme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}
