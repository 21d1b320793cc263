// Shows {tiles: [greyscale PNG], seen, heat, guess, samples, name, note}; `studio.look(view, threshold)` sets
// how: your ink black, the model's in the accent colour, as probabilities or at a threshold. A click on a
// tile sets `chosen` to its place and triggers "pick", one on a guess sets `named` and triggers "name". Downloads are drawn here, with hard pixel edges.
const SAVE_PX = 512, SHEET_PX = 256, GAP_PX = 16, SIDE = 64;
const tiles = find(".tiles");
const accent = (() => { // the accent colour's channels
  const pen = make("canvas", {}).getContext("2d");
  pen.fillStyle = getComputedStyle(element).getPropertyValue("--primary-500").trim();
  return [1, 3, 5].map((i) => parseInt(pen.fillStyle.slice(i, i + 2), 16));
})();

let inks = []; // of each tile, 0..255 in a byte a pixel
let own = null; // your ink
let look = { view: "Probabilities", threshold: 0.5 };

function tile(i) {
  const n = i + 1;
  const go = make("button", { type: "button", class: "tile", "data-pick": i });
  go.append(make("img", { alt: "", width: SIDE, height: SIDE }));
  go.setAttribute("aria-label", `Completion ${n}: put it on the pad`);
  go.title = "Put it on the pad and go on";
  const save = make("button", { type: "button", class: "tile-save", "data-save": i }, "↓");
  save.setAttribute("aria-label", `Download completion ${n}`);
  save.title = "Download as PNG";
  return make("li", {}, go, save);
}

async function ink(url) { // of a greyscale picture, dark on light
  const image = make("img", { src: url });
  await image.decode();
  const pen = make("canvas", { width: SIDE, height: SIDE }).getContext("2d");
  pen.drawImage(image, 0, 0);
  return pen.getImageData(0, 0, SIDE, SIDE).data.filter((_, i) => i % 4 === 0).map((v) => 255 - v);
}

function coloured(all) { // data URL: white paper, own ink black, the rest in the accent colour
  const pen = make("canvas", { width: SIDE, height: SIDE }).getContext("2d");
  const picture = pen.createImageData(SIDE, SIDE);
  const shown = look.view === "Binary" ? all.map((v) => (v >= 255 * look.threshold ? 255 : 0)) : all;
  shown.forEach((level, i) => {
    const mine = own[i];
    const added = Math.max(level - mine, 0);
    accent.forEach((v, c) => {
      picture.data[4 * i + c] = Math.round((255 * (255 - mine - added) + v * added) / 255);
    });
    picture.data[4 * i + 3] = 255;
  });
  pen.putImageData(picture, 0, 0);
  return pen.canvas.toDataURL();
}

const paint = () => inks.forEach((all, i) => (tiles.children[i].querySelector("img").src = coloured(all)));

studio.look = (view, threshold) => {
  look = { view, threshold };
  paint();
};

async function show() {
  const value = props.value ?? {};
  const made = value.tiles ?? [];
  const [seen, ...decoded] = made.length ? await Promise.all([value.seen, ...made].map(ink)) : [null];
  if (props.value?.tiles !== value.tiles) return; // a newer value is being decoded
  [own, inks] = [seen, decoded];
  find(".results-empty").hidden = made.length > 0;
  while (tiles.children.length > made.length) tiles.lastChild.remove();
  while (tiles.children.length < made.length) tiles.append(tile(tiles.children.length));
  paint();
  tiles.dataset.name = value.name ?? "";
  tiles.classList.toggle("many", made.length > 16);
  find(".results-note").textContent = value.note ?? "";
  find(".results-note").hidden = !value.note;
  find(".results-bar").hidden = find(".figures").hidden = made.length === 0;
  if (!made.length) return;
  find('[data-figure="seen"]').src = value.seen;
  find('[data-figure="heat"]').src = value.heat;
  guess(value);
  find('[data-text="heat"]').textContent =
    `Standard deviation of each pixel over ${value.samples} samples.`;
}

function guess({ guess: labels, knows }) { // names to take as the label, or what the model knows
  const names = labels.flatMap(([label, p], i) => [
    i ? ", " : "", make("button", { type: "button", "data-name": label, title: `It is a drawing of: ${label}` }, label),
    ` ${Math.round(100 * p)}%`,
  ]);
  find('[data-text="guess"]').replaceChildren(...(names.length
    ? ["It looks like: ", ...names, "."]
    : [`I do not recognise this. I know: ${knows.join(", ")}.`]));
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
  const { pick: chosen, save: one, sheet, name } = event.target.closest("button")?.dataset ?? {};
  if (chosen !== undefined) pick(Number(chosen));
  if (one !== undefined) saveOne(Number(one));
  if (sheet !== undefined) saveSheet();
  if (name !== undefined) {
    props.value = { ...props.value, named: name };
    trigger("name");
  }
});

watch("value", show);
show();
