// Pictures to choose from: {tiles: [data URL], names: [text], chosen}. A click sets `chosen` to a number and triggers "pick".
const room = element.querySelector(".strip");

function show() {
  const { tiles = [], names = [] } = props.value ?? {};
  room.replaceChildren(...tiles.map((src, i) => {
    const node = document.createElement("button");
    node.type = "button";
    node.dataset.tile = i;
    node.setAttribute("aria-label", `Take ${names[i] ?? `picture ${i + 1}`}`);
    const image = document.createElement("img");
    image.src = src;
    image.alt = "";
    node.append(image);
    return node;
  }));
}

room.addEventListener("click", (event) => {
  const { tile } = event.target.closest("[data-tile]")?.dataset ?? {};
  if (tile === undefined) return;
  props.value = { ...props.value, chosen: Number(tile) };
  trigger("pick");
});

watch("value", show);
show();
