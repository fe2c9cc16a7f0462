// Shows what changes as it changes, and sends forms without leaving the page. Text only ever becomes text.
"use strict";
const live = document.getElementById("live");
const problem = document.getElementById("problem");
const regions = ["messages", "under", "rooms", "standing"];
let source = null;
let asking = false;
let again = false;

function connect() {
  if (source) return;
  source = new EventSource("/stream");
  source.onopen = () => { live.textContent = "● live"; };
  source.onerror = () => { live.textContent = "… reconnecting"; };
  source.onmessage = refresh;
}
function disconnect() {
  if (source) source.close();
  source = null;
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { disconnect(); live.textContent = "paused"; } else connect();
});
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", connect);

// The server draws; the page takes over the parts that differ. What somebody types, opens or chooses stays.
async function refresh() {
  if (!document.getElementById("messages")) return;
  if (asking) { again = true; return; }
  asking = true;
  try {
    do {
      again = false;
      const answer = await fetch(window.location.pathname, { headers: { "x-stand-in": "refresh" } }).catch(() => null);
      if (answer && answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } while (again);
  } finally { asking = false; }
}

function show(made) {
  const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
  for (const id of regions) {
    const [old, fresh] = [document.getElementById(id), made.getElementById(id)];
    if (old && fresh && id === "messages") showMessages(old, fresh);
    else if (old && fresh && old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
  }
  showModal(document.getElementById("modal"), made.getElementById("modal"));
  if (atEnd) window.scrollTo(0, document.body.scrollHeight);
}

const drawn = new WeakMap();
function source_of(node) {
  if (!drawn.has(node)) drawn.set(node, node.outerHTML);
  return drawn.get(node);
}
for (const item of document.querySelectorAll("#messages > li")) source_of(item);

// Message by message, so that a menu that is open or a choice that was made in another one is left alone.
function showMessages(old, fresh) {
  if (old.tagName !== "OL") {
    if (source_of(old) !== fresh.outerHTML) { drawn.set(old, fresh.outerHTML); old.replaceChildren(...fresh.childNodes); }
    return;
  }
  const known = new Map(Array.from(old.children, (item) => [item.id, item]));
  const items = Array.from(fresh.children, (item) => {
    const before = known.get(item.id);
    if (before && source_of(before) === item.outerHTML) return before;
    source_of(item);
    return item;
  });
  if (items.length === old.children.length && items.every((item, place) => old.children[place] === item)) return;
  const focused = old.contains(document.activeElement) ? place_of(document.activeElement) : null;
  const kept = new Set(items);
  for (const item of Array.from(old.children)) if (!kept.has(item)) item.remove();
  items.forEach((item, place) => { if (old.children[place] !== item) old.insertBefore(item, old.children[place] || null); });
  if (focused) focus_again(old, focused);
}
function place_of(node) {
  const item = node.closest("li.message");
  return item ? { id: item.id, number: Array.from(item.querySelectorAll("button, select, input, a, summary")).indexOf(node) } : null;
}
function focus_again(list, at) {
  if (list.contains(document.activeElement)) return;
  const item = document.getElementById(at.id);
  const node = item && item.querySelectorAll("button, select, input, a, summary")[at.number];
  if (node) node.focus({ preventScroll: true });
}

let before_modal = null;
function showModal(old, fresh) {
  if (old.dataset.version === fresh.dataset.version) return;
  const opened = !old.dataset.version && fresh.dataset.version;
  if (opened) before_modal = document.activeElement;
  old.dataset.version = fresh.dataset.version;
  old.replaceChildren(...fresh.childNodes);
  focus_modal();
  if (!fresh.dataset.version && before_modal && before_modal.isConnected) before_modal.focus();
}
function focus_modal() {
  const modal = document.getElementById("modal");
  const wrong = modal.querySelector(".error");
  const field = (wrong ? wrong.parentElement : modal).querySelector("input:not([type=hidden]), textarea, select") || modal.querySelector("h2");
  if (field) field.focus();
  if (field && field.value && field.tagName !== "SELECT") field.selectionStart = field.selectionEnd = field.value.length;
  for (const id of ["main", "composer", "rooms"]) {
    const part = document.getElementById(id);
    if (part) part.inert = Boolean(modal.dataset.version);
  }
  document.querySelector("header").inert = Boolean(modal.dataset.version);
}
document.addEventListener("keydown", (event) => {
  const modal = document.getElementById("modal");
  if (event.key === "Escape" && modal.dataset.version) modal.querySelector("[formaction='/dismiss']").click();
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.id === "text") {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!("live" in form.dataset)) return;
  event.preventDefault();
  const by = event.submitter;
  const action = by && by.hasAttribute("formaction") ? by.formAction : form.action;
  const plain = form.enctype !== "multipart/form-data";
  const given = new FormData(form, by);
  const body = plain ? new URLSearchParams(Array.from(given).filter(([, value]) => typeof value === "string")) : given;
  const answer = await fetch(action, { method: "POST", body, headers: { "x-stand-in": "form" } }).catch(() => null);
  const said = answer ? await answer.json().catch(() => null) : null;
  problem.textContent = said && said.ok ? "" : said && said.problem || "That did not work: the stand-in did not answer.";
  if (said && said.ok && form.id === "composer") form.reset();
  refresh();
});

focus_modal();
if (!document.getElementById("modal").dataset.version && !window.location.hash) window.scrollTo(0, document.body.scrollHeight);
connect();
