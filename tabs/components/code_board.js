// The board of codes: {kind, first, second, edited: rows of codes, chain, redo: edits as text, codes: K, colours,
// pictures, notes, done}. Each action, {n, do, ...}, waits in `todo` and triggers "edit"; the server answers with the
// board after all of them, and with the `n` of the last one. `studio.board.act(action)` adds one from outside.
// `code` is the chosen one, `open` are cells [x, y] for the prior to complete.
const BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
const note = (name, text) => { find(`[data-note="${name}"]`).textContent = text; };
const canvases = { first: 0, second: 0, edited: 0 };
for (const name of Object.keys(canvases)) canvases[name] = find(`[data-grid="${name}"]`);
const border = find(".pad-group select");
const cut = find('[data-splice="cut"]');
const axis = find('[data-splice="axis"]');

let state = { kind: "", first: null, second: null, chain: [], redo: [], colours: [], sources: {}, dressed: "" };
let todo = []; // actions without an answer
let code = 0;
let open = []; // cells as "x,y"
let patch = null; // [left, top, right, bottom] of B
let cursor = null; // [x, y] in the edited grid
let serial = 0; // of the last action

const size = (grid) => [grid[0].length, grid.length];

function paint(name) {
  const canvas = canvases[name];
  const grid = state[name];
  const pen = canvas.getContext("2d");
  const side = canvas.clientWidth;
  const ratio = canvas.width / Math.max(side, 1);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, side, canvas.clientHeight);
  if (!grid || !side) return;
  const [w, h] = size(grid);
  const cell = side / w;
  const gap = cell > 9 ? 1 : 0.5;
  const fresh = name === "edited" && drag?.cells ? drag.cells : []; // under the pointer
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const key = `${x},${y}`;
      const value = fresh.includes(key) && tool === "paint" ? code : grid[y][x];
      const opened = name === "edited" && (open.includes(key) || (fresh.includes(key) && tool === "erase"));
      pen.globalAlpha = opened ? 0.12 : 1;
      pen.fillStyle = state.colours[value % state.codes];
      pen.fillRect(x * cell, y * cell, cell - gap, cell - gap);
      pen.globalAlpha = 1;
      if (value >= state.codes) stroke(pen, "#fff", 1.5, [x * cell + 2, (y + 1) * cell - 3, (x + 1) * cell - 3, y * cell + 2]);
      if (value % state.codes === code) frame(pen, accentColour, x * cell, y * cell, cell - gap, cell - gap);
    }
  }
  if (name === "second" && patch) {
    const [a, b, c, d] = patch;
    frame(pen, "#fff", a * cell, b * cell, (c - a) * cell, (d - b) * cell, 4);
    frame(pen, "#000", a * cell, b * cell, (c - a) * cell, (d - b) * cell, 2);
  }
  if (name === "edited" && cursor) frame(pen, "#000", cursor[0] * cell, cursor[1] * cell, cell, cell, 2);
}

function frame(pen, colour, x, y, w, h, width = 1.5) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.strokeRect(x + width / 2, y + width / 2, w - width, h - width);
}

function stroke(pen, colour, width, [a, b, c, d]) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(a, b);
  pen.lineTo(c, d);
  pen.stroke();
}

function paintAll() {
  Object.keys(canvases).forEach(paint);
  find(".codes-chosen i").style.background = state.colours[code] ?? "";
  note("chosen", state.first ? `code ${code}${open.length ? `, ${open.length} cells open` : ""}` : "");
  element.querySelectorAll("[data-line]").forEach((button) => {
    const { line } = button.dataset;
    const from = { undo: state.chain, reset: state.chain, redo: state.redo }[line];
    button.disabled = !state.first || (from ? from.length === 0 : false);
  });
}

function sync() { // the state of the tab, as it is kept and sent
  const { kind, first, second, chain, redo, sources, dressed, pictures } = state;
  const settled = todo.length === 0 && Boolean(pictures) && dressed === kind; // the server need not answer
  props.value = { kind, first, second, chain, redo, dressed, todo, pictures, settled, look: { sources } };
  trigger("edit");
}

function act(action) {
  serial += 1;
  const last = todo.at(-1);
  const replaces = action.do === "picture" && last?.do === "picture" && last.slot === action.slot;
  todo = [...(replaces ? todo.slice(0, -1) : todo), { ...action, n: serial }];
  sync();
}

const send = (line) => act({ do: "edit", line });

function place(event, name, loose = false) {
  const box = canvases[name].getBoundingClientRect();
  const [w, h] = size(state[name]);
  const x = Math.floor(((event.clientX - box.left) / box.width) * w);
  const y = Math.floor(((event.clientY - box.top) / box.height) * h);
  if (!loose && (x < 0 || y < 0 || x >= w || y >= h)) return null;
  return [clamp(x, 0, w - 1), clamp(y, 0, h - 1)];
}

function choose(value) {
  code = value % state.codes;
  paintAll();
}

function applyTool([x, y]) { // the tool on one cell
  const there = state.edited[y][x];
  if (tool === "pick") choose(there);
  else if (tool === "replace") {
    if (there < state.codes && there !== code) send(`replace ${there} ${code}`);
  } else if (tool === "transplant") {
    if (patch) send(`transplant ${patch.join(" ")} ${x} ${y}`);
    else note("cell", "Drag a rectangle over the codes of B first.");
  }
}

function applyToCells(cells) {
  if (tool === "paint") send(`paint ${code} ${cells.join(" ")}`);
  else {
    open = cells.every((key) => open.includes(key))
      ? open.filter((key) => !cells.includes(key))
      : [...new Set([...open, ...cells])];
    paintAll();
  }
}

function showCell(event, name) {
  const at = state[name] && place(event, name);
  if (!at) return;
  const value = state[name][at[1]][at[0]];
  const text = value >= state.codes ? `minus code ${value - state.codes}` : `code ${value}`;
  note("cell", `Column ${at[0]}, row ${at[1]}: ${text}`);
  canvases[name].title = text;
}

function startDrag(event, name) {
  const at = state.first && place(event, name);
  if (!at) return null;
  if (name === "first") choose(state.first[at[1]][at[0]]);
  else if (name === "second") {
    patch = [at[0], at[1], at[0] + 1, at[1] + 1];
    selectTool("transplant");
    return { from: at };
  } else if (tool === "paint" || tool === "erase") return { cells: [at.join()] };
  else applyTool(at);
  return null;
}

function moveDrag(event, name) {
  const [x, y] = place(event, name, true);
  if (drag.cells) {
    for (const step of event.getCoalescedEvents?.() ?? []) passOver(place(step, name, true));
    passOver([x, y]);
  } else {
    const [a, b] = drag.from;
    patch = [Math.min(a, x), Math.min(b, y), Math.max(a, x) + 1, Math.max(b, y) + 1];
  }
}

function passOver([x, y]) { // all cells from the last one to this one
  const [a, b] = drag.cells.at(-1).split(",").map(Number);
  const steps = Math.max(Math.abs(x - a), Math.abs(y - b));
  for (let i = 1; i <= steps; i++) {
    const key = [a + ((x - a) * i) / steps, b + ((y - b) * i) / steps].map(Math.round).join();
    drag.cells = [...drag.cells.filter((cell) => cell !== key), key];
  }
}

for (const [name, canvas] of Object.entries(canvases)) {
  canvas.addEventListener("pointermove", (event) => showCell(event, name));
  onDrag(canvas, {
    start: (event) => startDrag(event, name),
    move: (event) => moveDrag(event, name),
    end: ({ cells }) => { if (cells) applyToCells(cells); },
    paint: () => paint(name),
  });
  canvas.addEventListener("keydown", (event) => onKey(event, name));
}

function onKey(event, name) {
  if (!state.first) return;
  const way = ARROWS[event.key];
  const key = event.key.toLowerCase();
  if (undoKey(event)) send(undoKey(event));
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (way && name === "second") {
    const [w, h] = size(state.second);
    let [a, b, c, d] = patch ?? [0, 0, 1, 1];
    if (event.shiftKey) {
      c = Math.min(Math.max(c + way[0], a + 1), w);
      d = Math.min(Math.max(d + way[1], b + 1), h);
    } else if (patch && a + way[0] >= 0 && c + way[0] <= w && b + way[1] >= 0 && d + way[1] <= h) {
      [a, b, c, d] = [a + way[0], b + way[1], c + way[0], d + way[1]];
    }
    patch = [a, b, c, d];
    selectTool("transplant");
  } else if (way && name === "edited") {
    const [w, h] = size(state.edited);
    const [x, y] = cursor ?? [0, 0];
    cursor = cursor ? [(x + way[0] + w) % w, (y + way[1] + h) % h] : [0, 0];
    note("cell", `Column ${cursor[0]}, row ${cursor[1]}: code ${state.edited[cursor[1]][cursor[0]]}`);
  } else if ((key === "enter" || key === " ") && name === "edited" && cursor) {
    if (tool === "paint" || tool === "erase") applyToCells([cursor.join()]);
    else applyTool(cursor);
  } else return;
  event.preventDefault();
  paint(name);
}

element.addEventListener("click", (event) => {
  const { tool: name, line } = event.target.closest("button")?.dataset ?? {};
  if (name) selectTool(name);
  if (line) send(line.startsWith("shift") ? `${line} ${border.value}` : line);
});
const splice = () => send(`splice ${cut.value} ${axis.value}`);
cut.addEventListener("input", splice);
axis.addEventListener("change", splice);

function show() {
  const value = props.value ?? {};
  if (value.done === undefined) { // what we have sent ourselves, or what was kept
    if (!state.first && value.first) {
      state = { ...state, ...value, sources: value.look?.sources ?? {}, pictures: null, dressed: "" };
      todo = value.todo ?? [];
      serial = Math.max(0, ...todo.map(({ n }) => n));
      sync();
    }
    return;
  }
  todo = todo.filter(({ n }) => n > value.done);
  const before = value.kind === state.kind ? state.sources : {};
  const sources = { // the pictures that were encoded, which a link does not have
    pictures: { ...before.pictures, ...value.sources.pictures },
    notes: { ...before.notes, ...value.sources.notes },
  };
  if (value.kind !== state.kind) {
    code = 0;
    patch = cursor = null;
  }
  if (value.refused) note("cell", value.refused);
  if (value.kind !== state.kind || value.chain.join("\n") !== state.chain.join("\n")) open = [];
  state = { ...value, sources, dressed: value.kind };
  for (const [name, source] of Object.entries({ first: "", second: "", ...value.pictures, ...sources.pictures })) {
    const image = find(`[data-picture="${name}"]`);
    image.src = source || BLANK;
    image.hidden = !source;
  }
  for (const [name, text] of Object.entries({ first: "", second: "", ...value.notes, ...sources.notes })) note(name, text);
  const [op, at, along] = state.chain.at(-1)?.split(" ") ?? [];
  const isSplice = op === "splice" && !todo.length;
  axis.value = isSplice ? along : axis.value;
  cut.max = size(state.first)[axis.value === "y" ? 1 : 0];
  if (isSplice) cut.value = at;
  else if (!todo.length) cut.value = cut.max;
  for (const [name, canvas] of Object.entries(canvases)) {
    const [w, h] = size(state[name]);
    canvas.style.aspectRatio = `${w} / ${h}`;
  }
  paintAll();
  sync();
}

studio.board = {
  act,
  choose(value) { // from the atlas
    if (state.codes) choose(value);
    selectTool("paint");
  },
  complete(settings) {
    act({ do: "complete", open: open.map((key) => key.split(",").map(Number)), ...settings });
  },
  text(text) {
    if (text.trim() !== state.chain.join("\n")) act({ do: "text", text });
  },
};

watch("value", show);
fitToScreen(Object.values(canvases), (canvas) => paint(canvas.dataset.grid));
selectTool("paint");
show();
