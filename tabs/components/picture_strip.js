// Pictures to choose from: {tiles: [data URL], names: [text], chosen}. A click sets `chosen` to a number and triggers "pick".
const root = find(".strip");

function show() {
  const { tiles = [], names = [] } = props.value ?? {};
  root.replaceChildren(...tiles.map((src, i) => {
    const label = `Take ${names[i] ?? `picture ${i + 1}`}`;
    const image = make("img", { src, alt: "" });
    return make("button", { type: "button", "data-tile": i, "aria-label": label }, image);
  }));
}

root.addEventListener("click", (event) => {
  const { tile } = event.target.closest("[data-tile]")?.dataset ?? {};
  if (tile === undefined) return;
  pick(Number(tile));
});

watch("value", show);
show();
