// Every code: {kind, sheet, columns, rows, codes: [[code, share]], chosen}. A click sets `chosen` and triggers "pick".
// One tab stop: arrow keys go from code to code.
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
    node.tabIndex = i ? -1 : 0;
    return node;
  }));
}

root.addEventListener("keydown", (event) => {
  const all = [...root.children];
  const at = all.indexOf(document.activeElement);
  const perRow = all.filter((node) => node.offsetTop === all[0].offsetTop).length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow, Home: -at, End: all.length - 1 - at };
  const next = all[at + steps[event.key]];
  if (at < 0 || !next) return;
  event.preventDefault();
  all[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

root.addEventListener("click", (event) => {
  const { code } = event.target.closest("[data-code]")?.dataset ?? {};
  if (code === undefined) return;
  root.querySelectorAll("[data-code]").forEach((node) => {
    node.setAttribute("aria-pressed", String(node.dataset.code === code));
    node.tabIndex = node.dataset.code === code ? 0 : -1;
  });
  pick(Number(code));
});

watch("value", show);
show();
