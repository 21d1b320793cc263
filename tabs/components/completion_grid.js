// Shows {tiles: [{src, ink}], seen, heat, guess, samples, name, note}. A click on a tile sets `chosen` to
// its place and triggers "pick". Downloads are drawn here, enlarged with hard pixel edges.
const SAVE_PX = 512, SHEET_PX = 256, GAP_PX = 16;
const tiles = find(".tiles");

function tile(i) {
  const n = i + 1;
  const go = make("button", { type: "button", class: "tile", "data-pick": i });
  go.append(make("img", { alt: "", width: 64, height: 64 }));
  go.setAttribute("aria-label", `Completion ${n}: put it on the pad`);
  go.title = "Put it on the pad and go on";
  const save = make("button", { type: "button", class: "tile-save", "data-save": i }, "↓");
  save.setAttribute("aria-label", `Download completion ${n}`);
  save.title = "Download as PNG";
  return make("li", {}, go, save);
}

function show() {
  const value = props.value ?? {};
  const made = value.tiles ?? [];
  find(".results-empty").hidden = made.length > 0;
  while (tiles.children.length > made.length) tiles.lastChild.remove();
  while (tiles.children.length < made.length) tiles.append(tile(tiles.children.length));
  made.forEach(({ src }, i) => (tiles.children[i].querySelector("img").src = src));
  tiles.classList.toggle("many", made.length > 16);
  find(".results-note").textContent = value.note ?? "";
  find(".results-note").hidden = !value.note;
  find(".results-bar").hidden = find(".figures").hidden = made.length === 0;
  if (!made.length) return;
  find('[data-figure="seen"]').src = value.seen;
  find('[data-figure="heat"]').src = value.heat;
  find('[data-text="guess"]').textContent = value.guess;
  find('[data-text="heat"]').textContent =
    `Standard deviation of each pixel over ${value.samples} samples.`;
}

function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: `${name}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}

function paper(width, height) {
  const canvas = make("canvas", { width, height });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.imageSmoothingEnabled = false;
  return [canvas, pen];
}

function saveOne(i) {
  const [canvas, pen] = paper(SAVE_PX, SAVE_PX);
  pen.drawImage(tiles.children[i].querySelector("img"), 0, 0, SAVE_PX, SAVE_PX);
  save(canvas, `${props.value.name}-${String(i + 1).padStart(2, "0")}`);
}

function saveSheet() {
  const images = [...tiles.querySelectorAll("img")];
  const columns = Math.ceil(Math.sqrt(images.length));
  const rows = Math.ceil(images.length / columns);
  const [canvas, pen] = paper(
    columns * (SHEET_PX + GAP_PX) + GAP_PX,
    rows * (SHEET_PX + GAP_PX) + GAP_PX,
  );
  images.forEach((image, i) => {
    const x = GAP_PX + (i % columns) * (SHEET_PX + GAP_PX);
    const y = GAP_PX + Math.floor(i / columns) * (SHEET_PX + GAP_PX);
    pen.drawImage(image, x, y, SHEET_PX, SHEET_PX);
  });
  save(canvas, `${props.value.name}-all`);
}

element.addEventListener("click", (event) => {
  const { pick: chosen, save: one, sheet } = event.target.closest("button")?.dataset ?? {};
  if (chosen !== undefined) pick(Number(chosen));
  if (one !== undefined) saveOne(Number(one));
  if (sheet !== undefined) saveSheet();
});

watch("value", show);
show();
