// Every code: {kind, sheet, columns, rows, codes: [[code, share]], chosen}. A click sets `chosen` and triggers "pick".
const root = find(".atlas");
let shown = "";

function show() {
  const { kind, sheet, columns, rows, codes } = props.value ?? {};
  if (!kind || kind === shown) return;
  shown = kind;
  root.replaceChildren(...codes.map(([code, share], i) => {
    const use = share ? `${(100 * share).toFixed(2)} % of all cells` : "never used";
    const title = `Code ${code}: ${use}`;
    const node = make("button", { type: "button", "data-code": code, title, "aria-label": title });
    node.classList.toggle("dead", !share);
    const x = columns > 1 ? (i % columns) / (columns - 1) : 0;
    const y = rows > 1 ? Math.floor(i / columns) / (rows - 1) : 0;
    node.style.backgroundImage = `url(${sheet})`;
    node.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
    node.style.backgroundPosition = `${100 * x}% ${100 * y}%`;
    return node;
  }));
}

root.addEventListener("click", (event) => {
  const { code } = event.target.closest("[data-code]")?.dataset ?? {};
  if (code === undefined) return;
  root.querySelectorAll("[data-code]").forEach((node) => {
    node.setAttribute("aria-pressed", String(node.dataset.code === code));
  });
  pick(Number(code));
});

watch("value", show);
show();
