// Shows what is said in the thread as it is said. Text only ever becomes text.
"use strict";
const thread = document.getElementById("thread");
const live = document.getElementById("live");
const status = document.getElementById("status");
const source = new EventSource(thread.dataset.stream);
source.onopen = () => { live.textContent = "● live"; };
source.onerror = () => { live.textContent = source.readyState === EventSource.CLOSED ? "ended" : "… reconnecting"; };
source.onmessage = (event) => {
  const said = JSON.parse(event.data);
  const item = document.createElement("li");
  item.className = said.kind;
  item.id = "m" + said.sequence;
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = said.author;
  const at = document.createElement("time");
  at.dateTime = said.at;
  at.textContent = " " + said.at.slice(11, 19);
  const text = document.createElement("pre");
  text.textContent = said.text;
  item.append(who, at, text);
  thread.append(item);
};
const resting = ["asked", "handed_over", "in_review"];
source.addEventListener("status", (event) => {
  const now = JSON.parse(event.data);
  const changed = now.status !== status.textContent;
  status.textContent = now.status;
  status.className = "status " + now.status;
  // The forms belong to a status: load them anew when it comes to rest, unless somebody is typing.
  const typing = Array.from(document.querySelectorAll("textarea, input[name=reason]")).some((field) => field.value);
  if (changed && resting.includes(now.status) && !typing) { source.close(); window.location.reload(); }
  if (["merged", "released", "rolled_back", "rejected", "refused", "cancelled", "expired", "failed"].includes(now.status) && !changed) {
    source.close();
    live.textContent = "ended";
  }
});
