"use strict";
// Filter, search and keys. Without it the page shows everything.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const filter = document.getElementById("filter");
const findings = all(".mode .finding");
const rows = new Map(all("tr[data-finding]").map((row) => [row.dataset.finding, row]));
const texts = new Map();

const textOf = (finding) => {
  if (!texts.has(finding)) texts.set(finding, finding.textContent.toLowerCase());
  return texts.get(finding);
};
const numberOf = (finding) => finding.querySelector(".body").id.replace("finding-", "");
const visible = () => findings.filter((finding) => !finding.hidden);
const chosen = (name) =>
  all(`input[data-${name}]:checked`, filter).map((box) => box.dataset[name]);

function apply() {
  const words = document.getElementById("query").value.toLowerCase().split(/\s+/).filter(Boolean);
  const severities = chosen("severity");
  const states = chosen("state");
  for (const finding of findings) {
    const own = finding.dataset.states.split(" ");
    const shown =
      (!severities.length || severities.includes(finding.dataset.severity)) &&
      (!states.length || states.some((state) => own.includes(state))) &&
      words.every((word) => textOf(finding).includes(word));
    finding.hidden = !shown;
    rows.get(numberOf(finding)).hidden = !shown;
  }
  for (const section of all(".mode"))
    section.hidden = !section.querySelector(".finding:not([hidden])");
  const number = visible().length;
  const isFiltered = words.length + severities.length + states.length > 0;
  document.getElementById("count").value = isFiltered
    ? `${number} of ${findings.length} findings`
    : `${findings.length} finding${findings.length === 1 ? "" : "s"}`;
  document.getElementById("nothing").hidden = number > 0;
  const others = document.getElementById("others");
  if (others) {
    others.hidden = !others.querySelector("tr[data-finding]:not([hidden])");
    if (isFiltered) others.open = true;
  }
}

function clear() {
  document.getElementById("query").value = "";
  for (const box of all("input[type=checkbox]", filter)) box.checked = false;
  apply();
}

// The next or the previous finding that is shown gets the focus.
function step(by) {
  const shown = visible();
  if (!shown.length) return;
  const here = shown.findIndex((finding) => finding.contains(document.activeElement));
  const next = here < 0 ? (by > 0 ? 0 : shown.length - 1) : here + by;
  const target = shown[Math.min(shown.length - 1, Math.max(0, next))].querySelector("summary");
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: "start" });
}

function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  const finding = target && target.closest("details.finding");
  if (!finding) return;
  finding.open = true;
  const title = finding.querySelector("summary");
  title.focus({ preventScroll: true });
  title.scrollIntoView({ block: "start" });
}

function keyed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches("input[type=search]");
  if (event.key === "Escape") {
    clear();
    document.getElementById("query").blur();
  } else if (!isTyping && event.key === "/") {
    event.preventDefault();
    document.getElementById("query").focus();
  } else if (!isTyping && (event.key === "j" || event.key === "k")) {
    step(event.key === "j" ? 1 : -1);
  }
}

if (filter) {
  filter.hidden = document.getElementById("keys").hidden = false;
  filter.addEventListener("input", apply);
  document.addEventListener("keydown", keyed);
  document.getElementById("clear").addEventListener("click", clear);
  const toggle = document.getElementById("open");
  const areOpen = () => visible().every((finding) => finding.open);
  const name = () => {
    toggle.textContent = areOpen() ? "Close all" : "Open all";
  };
  toggle.addEventListener("click", () => {
    const open = !areOpen();
    for (const finding of visible()) finding.open = open;
  });
  for (const finding of findings) finding.addEventListener("toggle", name);
  filter.addEventListener("input", name);
  name();
  apply();
}
addEventListener("hashchange", reveal);
reveal();

// What is closed is not printed: it is opened for that, but for the lists of ids.
let closed = [];
addEventListener("beforeprint", () => {
  closed = all("details:not([open]):not(.ids)");
  for (const each of closed) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of closed) each.open = false;
});
