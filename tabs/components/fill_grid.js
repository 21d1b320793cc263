// Shows {rows: [{title, tiles: [{src, said}]}], before, difference, doubt, changed, chosen, note}. A click on a
// tile sets `chosen` to [row, tile] and triggers "pick": the server then makes the file to download.
const slider = find(".fill-compare input");

function tile({ src, said }, row, i, chosen) {
  const button = make("button", { type: "button", class: "tile", "data-row": row, "data-tile": i });
  button.setAttribute("aria-label", `Fill ${i + 1}: ${said}. Look at it closely`);
  button.setAttribute("aria-pressed", String(chosen));
  button.append(make("img", { src, alt: "" }));
  return make("li", {}, button, make("small", {}, said));
}

function show() {
  const value = props.value ?? {};
  const rows = value.rows ?? [];
  find(".results-empty").hidden = rows.length > 0;
  find(".results-empty .results-note").textContent = value.note ?? "";
  find(".fills").hidden = rows.length === 0;
  if (value.gone) studio.face.gone();
  if (!rows.length) return;
  const [row, at] = value.chosen ?? [0, 0];
  find(".fill-rows").replaceChildren(...rows.map(({ title, tiles }, r) => {
    const list = make("ol", { class: "tiles" });
    list.append(...tiles.map((one, i) => tile(one, r, i, r === row && i === at)));
    return make("li", {}, make("b", {}, title), list);
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
  pick([Number(row), Number(at)]);
  show();
});

watch("value", show);
show();
