// Shows {rows: [{title, tiles: [{src, said}]}], before, difference, doubt, changed, chosen, note}. A click on a
// tile sets `chosen` to [row, tile] and triggers "pick": the server then makes the file to download.
const find = (selector) => element.querySelector(selector);
const slider = find(".fill-compare input");

function tile({ src, said }, row, i, chosen) {
  const item = document.createElement("li");
  const go = document.createElement("button");
  go.type = "button";
  go.className = "tile";
  go.dataset.row = row;
  go.dataset.tile = i;
  go.setAttribute("aria-label", `Fill ${i + 1}: ${said}. Look at it closely`);
  go.setAttribute("aria-pressed", String(chosen));
  const image = document.createElement("img");
  image.src = src;
  image.alt = "";
  const words = document.createElement("small");
  words.textContent = said;
  go.append(image);
  item.append(go, words);
  return item;
}

function show() {
  const value = props.value ?? {};
  const rows = value.rows ?? [];
  find(".results-empty").hidden = rows.length > 0;
  find(".results-empty .results-note").textContent = value.note ?? "";
  find(".fills").hidden = rows.length === 0;
  if (!rows.length) return;
  const [row, at] = value.chosen ?? [0, 0];
  find(".fill-rows").replaceChildren(...rows.map(({ title, tiles }, r) => {
    const item = document.createElement("li");
    const head = document.createElement("b");
    head.textContent = title;
    const list = document.createElement("ol");
    list.className = "tiles";
    list.append(...tiles.map((one, i) => tile(one, r, i, r === row && i === at)));
    item.append(head, list);
    return item;
  }));
  find('[data-large="after"]').src = rows[row].tiles[at].src;
  find('[data-large="before"]').src = value.before;
  find('[data-figure="difference"]').src = value.difference;
  find('[data-figure="doubt"]').src = value.doubt;
  find('[data-text="changed"]').textContent = value.changed;
  find('[data-text="said"]').textContent = value.note ?? "";
  split();
}

function split() {
  find('[data-large="before"]').style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
}
slider.addEventListener("input", split);

element.addEventListener("click", (event) => {
  const { row, tile: at } = event.target.closest("button")?.dataset ?? {};
  if (at === undefined) return;
  props.value = { ...props.value, chosen: [Number(row), Number(at)] };
  trigger("pick");
  show();
});

watch("value", show);
show();
