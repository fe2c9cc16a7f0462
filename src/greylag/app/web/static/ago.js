// Keeps "3 min ago" true while a page is open. The same steps as `ago` in rendering.py.
"use strict";
const steps = [[60, 1, ""], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
function ago(since) {
  const seconds = (Date.now() - Date.parse(since)) / 1000;
  const [, size, unit] = steps.find(([below]) => seconds < below);
  return unit ? `${Math.floor(seconds / size)} ${unit} ago` : "just now";
}
setInterval(() => {
  for (const each of document.querySelectorAll("[data-since]")) each.textContent = ago(each.dataset.since);
}, 20000);
