// A photo with holes: {view: {src, left, top, width, height} | null, holes: [[left, top, right, bottom]],
// strokes: [[xs, ys]], brush, presets: {name: hole}, eyes: null | [[x, y], [x, y]], ask: "" | "eyes", source: "" | number of a sample},
// all in px of the photo. Triggers "fill" when the holes have changed, "eyes" when both are clicked.
const LIMIT = { holes: 20, strokes: 200, points: 5000, undo: 100 };
const GRIP = 9; // px on the screen, half the side of what a handle takes
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
const hint = element.querySelector(".pad-hint");
const presets = element.querySelector(".face-presets");
const numbers = [...element.querySelectorAll(".face-numbers input")];
const button = (name) => element.querySelector(`[data-do="${name}"]`);

const EMPTY = { view: null, holes: [], strokes: [], brush: 8, presets: {}, eyes: null, ask: "", source: "" };
let state = EMPTY; // never changed in place
let past = [];
let photo = null; // the decoded picture of state.view
let tool = "rectangle";
let chosen = -1; // which hole
let act = null; // what the pointer does: {id, kind, ...}
let clicked = []; // eyes
let sent = "";

const plain = (value) => Object.fromEntries(
  Object.keys(EMPTY).map((key) => [key, value?.[key] ?? EMPTY[key]]),
);
const scale = () => canvas.clientWidth / (state.view?.width ?? 1); // screen px in a px of the photo
const inView = (x, y) => [(x - state.view.left) * scale(), (y - state.view.top) * scale()];
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

function place(event) {
  const box = canvas.getBoundingClientRect();
  const { left, top, width, height } = state.view;
  return [
    left + clamp((event.clientX - box.left) / box.width, 0, 1) * width,
    top + clamp((event.clientY - box.top) / box.height, 0, 1) * height,
  ];
}

function ordered([a, b, c, d]) {
  const { left, top, width, height } = state.view;
  const x = [a, c].map((v) => clamp(Math.round(v), left, left + width)).sort((p, q) => p - q);
  const y = [b, d].map((v) => clamp(Math.round(v), top, top + height)).sort((p, q) => p - q);
  return [x[0], y[0], x[1], y[1]];
}

function moved([a, b, c, d], dx, dy) {
  const { left, top, width, height } = state.view;
  const x = clamp(dx, left - a, left + width - c), y = clamp(dy, top - b, top + height - d);
  return ordered([a + x, b + y, c + x, d + y]);
}

const handles = ([a, b, c, d]) => [
  [a, b], [(a + c) / 2, b], [c, b], [c, (b + d) / 2],
  [c, d], [(a + c) / 2, d], [a, d], [a, (b + d) / 2],
];
const SIDES = [[0, 1], [1], [2, 1], [2], [2, 3], [3], [0, 3], [0]]; // that each handle moves

function paint() {
  const ratio = canvas.width / Math.max(canvas.clientWidth, 1);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  const { view, holes, strokes, brush } = state;
  hint.hidden = view !== null;
  presets.hidden = !view || state.ask === "eyes";
  button("undo").disabled = past.length === 0;
  button("clear").disabled = holes.length + strokes.length === 0;
  showNumbers();
  if (!view) return;
  if (photo?.complete) pen.drawImage(photo, 0, 0, canvas.clientWidth, canvas.clientHeight);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "rgb(222 73 20 / 55%)";
  pen.lineWidth = brush * scale();
  for (const [xs, ys] of act?.kind === "paint" ? [...strokes, act.stroke] : strokes) {
    pen.beginPath();
    xs.forEach((x, i) => pen.lineTo(...inView(x, ys[i])));
    if (xs.length === 1) pen.lineTo(...inView(xs[0] + 0.01, ys[0]));
    pen.stroke();
  }
  (act?.hole ? holes.with(act.at, act.hole) : holes).forEach((hole, i) => {
    const [x, y] = inView(hole[0], hole[1]);
    const [w, h] = [(hole[2] - hole[0]) * scale(), (hole[3] - hole[1]) * scale()];
    pen.fillStyle = "rgb(222 73 20 / 38%)";
    pen.fillRect(x, y, w, h);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 3;
    pen.strokeRect(x, y, w, h);
    pen.strokeStyle = "#de4914";
    pen.lineWidth = 1.5;
    pen.strokeRect(x, y, w, h);
    if (i !== chosen) return;
    for (const [hx, hy] of handles(hole)) {
      const [px, py] = inView(hx, hy);
      pen.fillStyle = "#fff";
      pen.fillRect(px - 4, py - 4, 8, 8);
      pen.strokeRect(px - 4, py - 4, 8, 8);
    }
  });
  clicked.forEach(([x, y]) => {
    pen.beginPath();
    pen.arc(...inView(x, y), 6, 0, 2 * Math.PI);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 3;
    pen.stroke();
  });
}

function showNumbers() {
  const hole = state.holes[chosen];
  numbers.forEach((box, i) => {
    box.disabled = !hole;
    if (document.activeElement === box && hole) return;
    box.value = hole ? [hole[0], hole[1], hole[2] - hole[0], hole[3] - hole[1]][i] : "";
  });
}

function publish(event) {
  sent = JSON.stringify(state);
  props.value = state;
  if (event) trigger(event);
}

function commit(change, select = chosen) {
  past = [...past.slice(-LIMIT.undo), state];
  state = { ...state, ...change };
  chosen = Math.min(select, state.holes.length - 1);
  paint();
  publish("fill");
}

function add(hole) {
  if (state.holes.length < LIMIT.holes) commit({ holes: [...state.holes, ordered(hole)] }, state.holes.length);
}

const acts = {
  undo() {
    if (!past.length) return;
    const before = past.pop();
    state = { ...state, holes: before.holes, strokes: before.strokes };
    chosen = Math.min(chosen, state.holes.length - 1);
    paint();
    publish("fill");
  },
  clear() {
    if (state.holes.length + state.strokes.length) commit({ holes: [], strokes: [] }, -1);
  },
};

function under(x, y) { // the handle of the chosen hole, or the topmost hole, at a place on the screen
  const grips = state.holes[chosen] ? handles(state.holes[chosen]) : [];
  for (const [i, grip] of grips.entries()) {
    const [px, py] = inView(...grip);
    if (Math.abs(px - x) <= GRIP && Math.abs(py - y) <= GRIP) return { handle: i };
  }
  for (let i = state.holes.length - 1; i >= 0; i--) {
    const [a, b] = inView(state.holes[i][0], state.holes[i][1]);
    const [c, d] = inView(state.holes[i][2], state.holes[i][3]);
    if (x >= a && x <= c && y >= b && y <= d) return { hole: i };
  }
  return {};
}

canvas.addEventListener("pointerdown", (event) => {
  if (!state.view || act || !event.isPrimary || event.button !== 0) return;
  event.preventDefault();
  canvas.focus({ preventScroll: true });
  const [x, y] = place(event);
  if (state.ask === "eyes") {
    clicked = [...clicked, [x, y]];
    if (clicked.length === 2) {
      state = { ...state, eyes: clicked.sort((p, q) => p[0] - q[0]), ask: "" };
      clicked = [];
      publish("eyes");
    }
    paint();
    return;
  }
  canvas.setPointerCapture(event.pointerId);
  const base = { id: event.pointerId, x, y };
  if (tool === "brush") {
    if (state.strokes.length < LIMIT.strokes) act = { ...base, kind: "paint", stroke: [[x], [y]] };
    paint();
    return;
  }
  const box = canvas.getBoundingClientRect();
  const found = under(event.clientX - box.left, event.clientY - box.top);
  if (found.handle !== undefined) {
    act = { ...base, kind: "resize", at: chosen, handle: found.handle, hole: state.holes[chosen] };
  } else if (found.hole !== undefined) {
    chosen = found.hole;
    act = { ...base, kind: "move", at: chosen, hole: state.holes[chosen] };
  } else if (state.holes.length < LIMIT.holes) {
    act = { ...base, kind: "draw" };
    chosen = -1;
  }
  paint();
});

canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== act?.id) return;
  const [x, y] = place(event);
  if (act.kind === "paint") {
    const [xs, ys] = act.stroke;
    const far = Math.hypot(x - xs.at(-1), y - ys.at(-1)) * scale() >= 2;
    if (far && xs.length < LIMIT.points) { xs.push(x); ys.push(y); }
  } else if (act.kind === "draw") {
    act.box = ordered([act.x, act.y, x, y]);
  } else if (act.kind === "move") {
    act.hole = moved(state.holes[act.at], x - act.x, y - act.y);
  } else {
    const hole = [...state.holes[act.at]];
    for (const side of SIDES[act.handle]) hole[side] = side % 2 ? y : x;
    act.hole = ordered(hole);
  }
  paint();
  if (act.box) outline(act.box);
});

function outline(hole) {
  const [x, y] = inView(hole[0], hole[1]);
  pen.fillStyle = "rgb(222 73 20 / 38%)";
  pen.fillRect(x, y, (hole[2] - hole[0]) * scale(), (hole[3] - hole[1]) * scale());
}

function finish(event) {
  if (event.pointerId !== act?.id) return;
  const done = act;
  act = null;
  const big = (hole) => (hole[2] - hole[0]) * scale() >= 4 && (hole[3] - hole[1]) * scale() >= 4;
  if (done.kind === "paint") commit({ strokes: [...state.strokes, done.stroke] }, -1);
  else if (done.kind === "draw" && done.box && big(done.box)) add(done.box);
  else if (done.hole && big(done.hole) && String(done.hole) !== String(state.holes[done.at]))
    commit({ holes: state.holes.with(done.at, done.hole) });
  else paint();
}
canvas.addEventListener("pointerup", finish);
canvas.addEventListener("pointercancel", finish);

element.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  const { tool: name, do: what, preset } = pressed.dataset;
  if (name) take(name);
  if (what) acts[what]();
  if (preset && state.presets[preset]) add(state.presets[preset]);
});

function take(name) {
  tool = name;
  element.querySelectorAll("[data-tool]").forEach((b) => {
    b.setAttribute("aria-pressed", String(b.dataset.tool === name));
  });
}

canvas.addEventListener("keydown", (event) => {
  if (!state.view) return;
  const step = Math.max(1, Math.round(state.view.width / 100));
  const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const hole = state.holes[chosen];
  const key = event.key.toLowerCase();
  const held = event.ctrlKey || event.metaKey;
  if (held && key === "z") acts.undo();
  else if (held || event.altKey) return;
  else if (key === "n") {
    const { left, top, width, height } = state.view;
    add([left + 0.4 * width, top + 0.4 * height, left + 0.6 * width, top + 0.6 * height]);
  } else if (hole && (key === "delete" || key === "backspace")) {
    commit({ holes: state.holes.toSpliced(chosen, 1) }, state.holes.length - 2);
  } else if (hole && way[event.key]) {
    const [dx, dy] = way[event.key];
    const changed = event.shiftKey
      ? ordered([hole[0], hole[1], Math.max(hole[2] + dx, hole[0] + 2), Math.max(hole[3] + dy, hole[1] + 2)])
      : moved(hole, dx, dy);
    commit({ holes: state.holes.with(chosen, changed) });
  } else return;
  event.preventDefault();
});

numbers.forEach((box) => box.addEventListener("change", () => {
  const values = numbers.map((n) => Number(n.value));
  if (!state.holes[chosen] || !values.every(Number.isFinite)) return;
  const [left, top, width, height] = values;
  const hole = ordered([left, top, left + Math.max(1, width), top + Math.max(1, height)]);
  commit({ holes: state.holes.with(chosen, hole) });
}));

function open(value) {
  const next = plain(value);
  const other = next.view?.src !== state.view?.src;
  state = next;
  clicked = [];
  if (other) {
    past = [];
    chosen = state.holes.length - 1;
    photo = state.view ? new Image() : null;
    if (photo) {
      photo.onload = paint;
      photo.src = state.view.src;
    }
    canvas.style.aspectRatio = state.view ? `${state.view.width} / ${state.view.height}` : "1";
  }
  presets.replaceChildren(...Object.keys(state.presets).map((name) => {
    const node = document.createElement("button");
    node.type = "button";
    node.dataset.preset = node.textContent = name;
    return node;
  }));
  sent = JSON.stringify(state);
  paint();
}

watch("value", () => {
  if (JSON.stringify(plain(props.value)) !== sent) open(props.value);
});

new ResizeObserver(() => {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [canvas.clientWidth, canvas.clientHeight].map((v) => Math.round(v * ratio));
  if (!w || (w === canvas.width && h === canvas.height)) return;
  canvas.width = w;
  canvas.height = h;
  paint();
}).observe(canvas);

open(props.value);
take("rectangle");
