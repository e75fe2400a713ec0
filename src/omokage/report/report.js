"use strict";
// All that moves on the page. Without it everything is there, still.

const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

// The film: the picture of all moments is the source; each face has a canvas, on which the slider's moment is drawn.
for (const figure of document.querySelectorAll(".film")) {
  const still = figure.querySelector(".strip img");
  const player = figure.querySelector(".player");
  const slider = player.querySelector("input");
  const [play, shown] = [player.querySelector("button"), player.querySelector("output")];
  const steps = figure.dataset.steps.split(",");
  const [side, faces] = [Number(figure.dataset.side), Number(figure.dataset.faces)];
  const canvases = Array.from({ length: faces }, () => make("canvas", { width: side, height: 2 * side }));
  let timer = 0;

  const draw = () => {
    const moment = Number(slider.value);
    canvases.forEach((canvas, face) => canvas.getContext("2d").drawImage(
      still, moment * side, 2 * face * side, side, 2 * side, 0, 0, side, 2 * side));
    shown.textContent = `step t = ${steps[moment]}`;
    slider.setAttribute("aria-valuetext", shown.textContent);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const forward = () => {
    slider.value = Number(slider.value) + 1;
    draw();
    if (slider.value === slider.max) stop();
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = 0;
    draw();
    play.textContent = "Pause";
    timer = setInterval(forward, 2600 / steps.length);
  });
  slider.addEventListener("input", () => { stop(); draw(); });
  still.decode().then(() => {
    player.querySelector(".faces").append(...canvases);
    player.hidden = false;
    figure.classList.add("moving");
    draw();
  });
}

// Pictures that enlarge: each becomes a button, which shows it in the one dialog.
const dialog = document.querySelector("dialog");
for (const image of document.querySelectorAll("figure.picture img")) {
  const button = make("button", { type: "button", className: "enlarge", title: "Enlarge" });
  image.replaceWith(button);
  button.append(image);
  button.addEventListener("click", () => {
    const large = dialog.querySelector("img");
    large.src = image.src;
    large.alt = image.alt;
    large.className = image.className;
    const [width, height] = [image.getAttribute("width"), image.getAttribute("height")];
    large.style.setProperty("--wide", `${width}px`);
    large.style.setProperty("--ratio", width / height);
    dialog.querySelector("p").textContent = image.alt;
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// Tables that sort: first the cells that are numbers, then those that are words; a second click turns the order round.
const words = new Intl.Collator("en", { numeric: true });
const compare = (one, other) => {
  const [first, second] = [one, other].map((cell) => "order" in cell.dataset);
  if (first !== second) return second - first;
  return first ? one.dataset.order - other.dataset.order : words.compare(one.textContent, other.textContent);
};
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = make("button", { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((one, other) => compare(one.cells[column], other.cells[column]));
      table.tBodies[0].append(...(falling ? rows.reverse() : rows));
    });
  });
}
