"use strict";
// Adds sorting, filters and the command that compares selected runs. Without JavaScript, the page is a sorted list.

const find = (id) => document.getElementById(id);
const [source, list] = [find("runs"), document.querySelector(".cards")];
const runs = JSON.parse(source.textContent);
const maxCompared = Number(source.dataset.max);
[...list.children].forEach((card, number) => {
  Object.assign(runs[number], { card, number, box: card.querySelector(".pick input"), text: card.textContent.toLowerCase() });
  card.querySelector(".pick").hidden = false;
});
const [search, parameter, value, sort, reverse] = ["search", "parameter", "value", "sort", "reverse"].map(find);

// Sorting: unknown values come last; numbers before texts; scores only within the runs that they compare.
const collator = new Intl.Collator("en", { numeric: true });
const compareValues = (a, b) => {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if ((typeof a === "number") !== (typeof b === "number")) return typeof a === "number" ? -1 : 1;
  return collator.compare(String(a), String(b));
};
const sortCards = () => {
  const key = sort.value;
  const isParameter = key.startsWith("params.");
  const isScore = sort.selectedOptions[0].parentElement.label === "Scores";
  const isDescending = ("descending" in sort.selectedOptions[0].dataset) !== (reverse.getAttribute("aria-pressed") === "true");
  const getValue = (run) => isParameter ? run.params[key.slice(7)] : run[key];
  // The workspace has no commit time: it is the newest.
  const getKey = (run) => getValue(run) ?? (key === "time" ? Infinity : undefined);
  const order = [...runs].sort((a, b) => {
    const [aValue, bValue] = [getKey(a), getKey(b)];
    if (isScore && a.group !== b.group) return a.group - b.group;
    if (aValue === undefined || bValue === undefined) return (aValue === undefined) - (bValue === undefined) || a.number - b.number;
    return (isDescending ? -1 : 1) * compareValues(aValue, bValue) || a.number - b.number;
  });
  list.append(...order.map((run) => run.card));
};

// Filters: every word of the search must occur in the text of the card.
const filterCards = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const run of runs) {
    const hasWords = words.every((word) => run.text.includes(word));
    const hasValue = !value.value || run.texts[parameter.value] === value.selectedOptions[0].textContent;
    run.card.hidden = !(hasWords && hasValue && (!parameter.value || parameter.value in run.texts));
    shown += !run.card.hidden;
  }
  find("count").textContent = `${shown} of ${runs.length} shown`;
};
const listValues = () => {
  const texts = new Set(runs.map((run) => run.texts[parameter.value]).filter((text) => text !== undefined));
  const options = [...texts].sort(collator.compare).map((text) => new Option(text, "1"));
  value.replaceChildren(new Option("any", ""), ...options);
  value.disabled = !parameter.value;
};

// Comparison: the command for the selected runs, in the order of their selection.
const selected = [];
const showSelection = () => {
  const isReady = selected.length >= 2;
  find("command").textContent = `omokage compare ${selected.map((run) => run.name).join(" ")}`;
  find("command").parentElement.hidden = find("copy").hidden = !isReady;
  find("hint").textContent = isReady ? `Compare ${selected.length} runs:` : "Select another run to compare.";
  document.querySelector(".selection").hidden = selected.length === 0;
  for (const run of runs) run.box.disabled = selected.length >= maxCompared && !run.box.checked;
  find("copy").textContent = "Copy";
};
for (const run of runs) {
  run.box.checked = false;
  run.box.addEventListener("change", () => {
    if (run.box.checked) selected.push(run);
    else selected.splice(selected.indexOf(run), 1);
    showSelection();
  });
}
find("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(find("command").textContent);
    find("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(find("command"));
    find("copy").textContent = "Selected: press Ctrl-C";
  }
});
find("clear").addEventListener("click", () => {
  for (const run of selected.splice(0)) run.box.checked = false;
  showSelection();
  search.focus();
});

search.addEventListener("input", filterCards);
parameter.addEventListener("change", () => { listValues(); filterCards(); });
value.addEventListener("change", filterCards);
sort.addEventListener("change", sortCards);
reverse.addEventListener("click", () => {
  reverse.setAttribute("aria-pressed", reverse.getAttribute("aria-pressed") !== "true");
  sortCards();
});
document.querySelector(".tools").hidden = false;
// A reload may keep what was typed and chosen.
listValues();
filterCards();
sortCards();
