"use strict";
// Adds interaction. Without JavaScript, the page still shows everything.

const createElement = (tag, properties) => Object.assign(document.createElement(tag), properties);

// A link to a folded section opens it, and printing opens all sections.
const sections = [...document.querySelectorAll("details.section")];
const openTarget = (hash) => {
  const section = hash && document.getElementById(decodeURIComponent(hash.slice(1)))?.closest("details.section");
  if (section) section.open = true;
};
openTarget(location.hash);
addEventListener("hashchange", () => openTarget(location.hash));
document.addEventListener("click", (event) => openTarget(event.target.closest('a[href^="#"]')?.hash));
let folded = [];
addEventListener("beforeprint", () => {
  folded = sections.filter((section) => !section.open);
  folded.forEach((section) => { section.open = true; });
});
addEventListener("afterprint", () => folded.forEach((section) => { section.open = false; }));
// On a phone, the contents list is folded at first.
document.querySelector(".contents details").open = !matchMedia("(max-width: 40rem)").matches;

// Only a table that is wider than its frame can be scrolled, so only this one is a stop of the Tab key.
const frames = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
}));
document.querySelectorAll(".scroll[role]").forEach((frame) => frames.observe(frame));

// The denoising player: each face has a canvas, which shows the frame that the slider selects from the sprite sheet.
for (const figure of document.querySelectorAll(".denoising")) {
  const spriteSheet = figure.querySelector(".sprite-sheet img");
  const player = figure.querySelector(".player");
  const slider = player.querySelector("input");
  const [playButton, label] = [player.querySelector("button"), player.querySelector("output")];
  const labels = figure.dataset.labels.split(";");
  const [side, faces] = [Number(figure.dataset.side), Number(figure.dataset.faces)];
  const canvases = Array.from({ length: faces }, () => createElement("canvas", { width: side, height: 2 * side }));
  let timer = 0;

  const showFrame = () => {
    const frame = Number(slider.value);
    canvases.forEach((canvas, face) => canvas.getContext("2d").drawImage(
      spriteSheet, frame * side, 2 * face * side, side, 2 * side, 0, 0, side, 2 * side));
    label.textContent = labels[frame];
    slider.setAttribute("aria-valuetext", label.textContent);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    playButton.textContent = "Play";
  };
  const advance = () => {
    slider.value = Number(slider.value) + 1;
    showFrame();
    if (slider.value === slider.max) stop();
  };
  playButton.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = 0;
    showFrame();
    playButton.textContent = "Pause";
    timer = setInterval(advance, 2600 / labels.length);
  });
  slider.addEventListener("input", () => { stop(); showFrame(); });
  spriteSheet.decode().then(() => {
    player.querySelector(".faces").append(...canvases);
    player.hidden = false;
    figure.classList.add("with-player");
    showFrame();
  });
}

// Enlargeable figures: each becomes a button that opens the figure in the dialog.
const dialog = document.querySelector("dialog");
for (const image of document.querySelectorAll("figure.enlargeable img")) {
  const button = createElement("button", { type: "button", className: "enlarge", title: "Enlarge" });
  image.replaceWith(button);
  button.append(image);
  button.addEventListener("click", () => {
    const enlarged = dialog.querySelector("img");
    enlarged.src = image.src;
    enlarged.alt = image.alt;
    enlarged.className = image.className;
    const [width, height] = [image.getAttribute("width"), image.getAttribute("height")];
    enlarged.style.setProperty("--width", `${width}px`);
    enlarged.style.setProperty("--ratio", width / height);
    dialog.querySelector("p").textContent = image.alt;
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// Sortable tables: numbers come before text; a second click on a heading reverses the order.
const collator = new Intl.Collator("en", { numeric: true });
const compareCells = (a, b) => {
  const [aIsNumber, bIsNumber] = [a, b].map((cell) => "sortKey" in cell.dataset);
  if (aIsNumber !== bIsNumber) return bIsNumber - aIsNumber;
  return aIsNumber ? a.dataset.sortKey - b.dataset.sortKey : collator.compare(a.textContent, b.textContent);
};
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = createElement("button", { type: "button", textContent: heading.textContent });
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((a, b) => compareCells(a.cells[column], b.cells[column]));
      table.tBodies[0].append(...(descending ? rows.reverse() : rows));
    });
  });
}
