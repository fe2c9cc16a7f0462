// Shows what is said in the thread as it is said, and where the task stands. Text only ever becomes text.
"use strict";
const thread = document.getElementById("thread");
const live = document.getElementById("live");
let last = Number(thread.dataset.after);
let source = null;
let over = false;

function connect() {
  if (over || source) return;
  source = new EventSource(`${thread.dataset.stream}?after=${last}`);
  live.textContent = "… connecting";
  source.onopen = () => { live.textContent = "● live"; };
  source.onerror = () => {
    const closed = source && source.readyState === EventSource.CLOSED;
    live.textContent = closed ? "✗ not live: load again" : "… reconnecting";
  };
  source.onmessage = (event) => show(JSON.parse(event.data));
  source.addEventListener("status", (event) => stand(JSON.parse(event.data)));
}

function disconnect() {
  if (source) source.close();
  source = null;
}

// A browser keeps six connections to a site: pages nobody looks at give theirs back.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { disconnect(); if (!over) live.textContent = "paused"; } else connect();
});
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", connect);

function make(name, text = "", look = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (look) made.className = look;
  return made;
}

function timeOf(said) {
  const at = make("time", said.clock);
  at.dateTime = said.at;
  return at;
}

// Somebody who sees the end of the thread goes on seeing it; nobody else is moved.
function keepingPlace(change) {
  const before = thread.getBoundingClientRect().bottom;
  change();
  const after = thread.getBoundingClientRect().bottom;
  if (before <= window.innerHeight + 60 && after > window.innerHeight) window.scrollBy(0, after - before);
}

function show(said) {
  if (said.sequence <= last) return;
  last = said.sequence;
  keepingPlace(() => (said.kind === "progress" ? showStep(said) : showMessage(said)));
  if (said.offers) renew();
}

function showStep(said) {
  let group = thread.lastElementChild;
  if (!group || !group.classList.contains("attempt")) {
    group = make("li", "", "attempt");
    const details = make("details");
    details.open = true;
    const summary = make("summary", said.text + " ");
    summary.id = "m" + said.sequence;
    summary.append(make("small"));
    details.append(summary, make("ol"));
    group.append(details);
    thread.append(group);
    return;
  }
  const text = make("span", said.text);
  text.dir = "auto";
  const item = make("li");
  item.id = "m" + said.sequence;
  item.append(timeOf(said), " ", text);
  const list = group.querySelector("ol");
  list.append(item);
  const count = list.children.length;
  group.querySelector("summary small").textContent = count === 1 ? "(1 step)" : `(${count} steps)`;
}

function showMessage(said) {
  const item = make("li", "", said.kind);
  item.id = "m" + said.sequence;
  let text = make("pre", said.text);
  text.dir = "auto";
  if (said.lead) {
    const details = make("details");
    details.append(make("summary", said.lead), text);
    text = details;
  }
  item.append(make("span", said.author, "who"), " ", timeOf(said), text);
  thread.append(item);
}

function stand(now) {
  const pill = document.getElementById("status");
  const mark = make("span", now.mark);
  mark.ariaHidden = "true";
  pill.replaceChildren(mark, " " + now.word);
  pill.className = "status " + now.status;
  document.getElementById("standing").className = "standing " + now.tone;
  const words = document.getElementById("words");
  if (words.textContent !== now.words) words.textContent = now.words;
  const goto = document.getElementById("goto");
  if (!now.goto) goto.hidden = true;
  document.title = [now.word, ...document.title.split(" · ").slice(1)].join(" · ");
  if (now.over) {
    over = true;
    disconnect();
    live.textContent = "ended";
  }
  const actions = document.getElementById("actions");
  if (actions.dataset.version === now.version) return;
  if (actions.dataset.subject) goStale();
  else renew();
}

// What somebody is about to approve is never exchanged under their finger: it is taken away, and loaded anew on demand.
function goStale() {
  document.getElementById("stale").hidden = false;
  for (const form of document.querySelectorAll("#decide form")) form.hidden = true;
}

// Facts, forms and offers belong to a status; the server says what they are by now. One request at a time.
let asking = false, askAgain = false;
async function renew() {
  askAgain = asking;
  if (asking) return;
  asking = true;
  const fresh = await load(window.location.pathname);
  asking = false;
  if (fresh) keepingPlace(() => exchange(fresh));
  if (askAgain) renew();
}

async function load(address) {
  const answer = await fetch(address).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return null;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function exchange(made) {
  const [fresh, old] = [made, document].map((where) => where.getElementById("actions"));
  const focused = document.activeElement.id;
  for (const each of thread.querySelectorAll(":scope > li[id]")) exchangeOffers(each, made.getElementById(each.id));
  if (old.dataset.subject) return;
  document.getElementById("facts").replaceWith(made.getElementById("facts"));
  document.getElementById("goto").replaceWith(made.getElementById("goto"));
  if (old.dataset.version !== fresh.dataset.version) {
    keepWords(old, fresh);
    old.replaceWith(fresh);
  }
  if (focused && document.activeElement.id !== focused) document.getElementById(focused)?.focus();
}

function exchangeOffers(old, fresh) {
  const [offers, made] = [old, fresh].map((where) => where && where.querySelector(".offers"));
  if ((offers ? offers.textContent : "") === (made ? made.textContent : "")) return;
  if (offers) offers.remove();
  if (made) old.append(made);
}

// What somebody is typing, and what they chose for it, stays where it is.
function keepWords(old, fresh) {
  for (const field of old.querySelectorAll("textarea, #reason")) {
    const place = fresh.querySelector("#" + field.id);
    if (field.value && place && place.tagName === field.tagName) place.replaceWith(field);
  }
  const chosen = old.querySelector("[name=mode]:checked");
  const place = chosen && fresh.querySelector("#" + chosen.id);
  if (place) place.checked = true;
}

// A question about what goes on is answered where it is asked.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-doing]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const place = document.getElementById("doing");
  place.replaceChildren(make("p", "…"));
  const made = await load(link.href);
  if (!made) { window.location.assign(link.href); return; }
  place.replaceChildren(...made.getElementById("doing").childNodes);
  if (!link.closest("#standing")) place.scrollIntoView({ block: "nearest" });
});

connect();
