// Returns what stands in somebody's way on this page, as sentences. Nothing found is an empty list.
(() => {
  const found = [];
  const say = (what, where) => found.push(where ? `${what}: ${where.outerHTML.slice(0, 120)}` : what);
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const shown = (node) => node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length > 0;
  const phone = window.innerWidth <= 400;

  if (document.documentElement.lang !== "en") say("no language");
  if (!document.title.trim()) say("no title");
  for (const [selector, count] of [["h1", 1], ["main", 1], ["body > header", 1]]) {
    if (all(selector).length !== count) say(`${all(selector).length} × ${selector}`);
  }
  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const here = Number(heading.tagName[1]);
    if (here > level + 1) say("a heading level is left out", heading);
    if (!heading.textContent.trim()) say("an empty heading", heading);
    level = here;
  }
  const ids = all("[id]").map((node) => node.id);
  for (const id of ids.filter((id, place) => ids.indexOf(id) !== place)) say(`the id ${id} twice`);
  for (const name of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const node of all(`[${name}]`)) {
      for (const id of node.getAttribute(name).split(/\s+/)) if (!document.getElementById(id)) say(`${name} to nothing`, node);
    }
  }
  for (const field of all("input:not([type=hidden]), textarea, select")) {
    if (!field.labels.length && !field.ariaLabel) say("a field without a label", field);
  }
  for (const node of all("a[href], button, summary")) {
    if (shown(node) && !(node.textContent.trim() || node.ariaLabel)) say("a control without a name", node);
    if (node.querySelector("a[href], button, input, select, textarea")) say("a control inside a control", node);
  }
  for (const node of all("[tabindex]")) if (node.tabIndex > 0) say("its own tab order", node);
  for (const node of all("li")) if (!["OL", "UL"].includes(node.parentElement.tagName)) say("an orphaned list item", node);
  for (const list of all("ol, ul")) {
    for (const node of list.children) if (node.tagName !== "LI") say("a list with something else in it", node);
  }
  for (const node of all("div, section, pre")) {
    const scrolls = node.scrollWidth > node.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(node).overflowX);
    if (scrolls && node.tabIndex < 0) say("scrolls, but not by keyboard", node);
  }
  if (document.documentElement.scrollWidth > window.innerWidth) {
    say(`the page is ${document.documentElement.scrollWidth} px wide in a window of ${window.innerWidth} px`);
    const wide = all("body *").filter((node) => node.getBoundingClientRect().right > window.innerWidth + 1
      && !node.closest(".content"));
    if (wide.length) say("the widest", wide[wide.length - 1]);
  }
  if (phone) {
    for (const node of all("button, .button, select, textarea, input:not([type=hidden]), summary")) {
      const box = (node.type === "radio" && node.closest("label") || node).getBoundingClientRect();
      if (shown(node) && (box.height < 44 || box.width < 44)) say(`${box.width}×${box.height} px to press`, node);
    }
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colours = new Map();
  const channels = (colour) => {
    if (!colours.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      colours.set(colour, Array.from(canvas.getImageData(0, 0, 1, 1).data));
    }
    return colours.get(colour);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.textContent.trim() || !shown(node) || node.closest("script, noscript")) continue;
    const look = getComputedStyle(node);
    for (let at = node; at; at = at.parentElement) if (Number(getComputedStyle(at).opacity) < 1) say("faded text", at);
    const back = behind(node);
    const key = look.color + back.join();
    if (seen.has(key)) continue;
    seen.add(key);
    const [light, dark] = [luminance(channels(look.color)), luminance(back)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, node);
  }
  return found;
})()
