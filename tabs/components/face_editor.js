// A photo with holes: {view: {src, left, top, width, height} | null, holes: [[left, top, right, bottom]],
// strokes: [[xs, ys]], brush, presets: {name: hole}, eyes: null | [[x, y], [x, y]], ask: "" | "eyes", source: "" | number of a sample,
// photo: "" | path of an upload, transform: null | of the face in it}, all in px of the photo. Triggers "edit" at each change.
// Without a `view` the server is asked for it, and for all that depends on it.
const LIMIT = { holes: 20, strokes: 200, points: 5000, undo: 100 };
const GRIP = 9; // px on the screen, half the side of what a handle takes
const canvas = find("canvas");
const pen = canvas.getContext("2d");
const hint = find(".pad-hint");
const presets = find(".face-presets");
const numbers = [...element.querySelectorAll(".face-numbers input")];
const button = (name) => find(`[data-do="${name}"]`);

const EMPTY = { view: null, holes: [], strokes: [], brush: 8, presets: {}, eyes: null, ask: "", source: "", photo: "", transform: null };
let state = EMPTY; // never changed in place
const history = new History(LIMIT.undo);
let photo = null; // the decoded picture of state.view
let chosen = -1; // which hole
let clicked = []; // eyes
let sent = "";

const normalize = (value) => Object.fromEntries(
  Object.keys(EMPTY).map((key) => [key, value?.[key] ?? EMPTY[key]]),
);
const scale = () => canvas.clientWidth / (state.view?.width ?? 1); // screen px in a px of the photo
const translucent = (percent) => `color-mix(in srgb, ${accentColour} ${percent}%, transparent)`;
const inView = (x, y) => [(x - state.view.left) * scale(), (y - state.view.top) * scale()];

function place(event) {
  const box = canvas.getBoundingClientRect();
  const { left, top, width, height } = state.view;
  return [
    left + clamp((event.clientX - box.left) / box.width, 0, 1) * width,
    top + clamp((event.clientY - box.top) / box.height, 0, 1) * height,
  ];
}

const quarters = (point) => point.map((v) => Math.round(4 * v) / 4); // of a px, as in a link

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
  button("undo").disabled = history.past.length === 0;
  button("clear").disabled = holes.length + strokes.length === 0;
  showNumbers();
  if (!view) return;
  if (photo?.complete) pen.drawImage(photo, 0, 0, canvas.clientWidth, canvas.clientHeight);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = translucent(55);
  pen.lineWidth = brush * scale();
  for (const [xs, ys] of drag?.kind === "paint" ? [...strokes, drag.stroke] : strokes) {
    pen.beginPath();
    xs.forEach((x, i) => pen.lineTo(...inView(x, ys[i])));
    if (xs.length === 1) pen.lineTo(...inView(xs[0] + 0.01, ys[0]));
    pen.stroke();
  }
  (drag?.hole ? holes.with(drag.at, drag.hole) : holes).forEach((hole, i) => {
    const [x, y] = inView(hole[0], hole[1]);
    const [w, h] = [(hole[2] - hole[0]) * scale(), (hole[3] - hole[1]) * scale()];
    pen.fillStyle = translucent(38);
    pen.fillRect(x, y, w, h);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 3;
    pen.strokeRect(x, y, w, h);
    pen.strokeStyle = accentColour;
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
  if (drag?.box) fillRectangle(drag.box);
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

function publish() {
  sent = JSON.stringify(state);
  props.value = state;
  trigger("edit");
}

function commit(change, select = chosen) {
  history.record(state);
  state = { ...state, ...change };
  chosen = Math.min(select, state.holes.length - 1);
  paint();
  publish();
}

function add(hole) {
  if (state.holes.length < LIMIT.holes) commit({ holes: [...state.holes, ordered(hole)] }, state.holes.length);
}

function restore(before) {
  if (!before) return;
  state = { ...state, holes: before.holes, strokes: before.strokes };
  chosen = Math.min(chosen, state.holes.length - 1);
  paint();
  publish();
}

const actions = {
  undo() {
    restore(history.undo(state));
  },
  redo() {
    restore(history.redo(state));
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

function clickEye(place) {
  clicked = [...clicked, place];
  if (clicked.length < 2) return;
  state = { ...state, view: null, eyes: clicked.sort((p, q) => p[0] - q[0]), ask: "" };
  clicked = [];
  publish();
}

function fillRectangle(hole) {
  const [x, y] = inView(hole[0], hole[1]);
  pen.fillStyle = translucent(38);
  pen.fillRect(x, y, (hole[2] - hole[0]) * scale(), (hole[3] - hole[1]) * scale());
}

const isLarge = (hole) => (hole[2] - hole[0]) * scale() >= 4 && (hole[3] - hole[1]) * scale() >= 4;

onDrag(canvas, {
  start(event) {
    if (!state.view) return null;
    let [x, y] = place(event);
    if (state.ask === "eyes") {
      clickEye([x, y]);
      return null;
    }
    if (tool === "brush") {
      [x, y] = quarters([x, y]);
      return state.strokes.length < LIMIT.strokes ? { kind: "paint", stroke: [[x], [y]] } : null;
    }
    const box = canvas.getBoundingClientRect();
    const found = under(event.clientX - box.left, event.clientY - box.top);
    if (found.handle !== undefined) {
      return { kind: "resize", at: chosen, handle: found.handle, hole: state.holes[chosen] };
    }
    if (found.hole !== undefined) {
      chosen = found.hole;
      return { kind: "move", x, y, at: chosen, hole: state.holes[chosen] };
    }
    if (state.holes.length >= LIMIT.holes) return null;
    chosen = -1;
    return { kind: "draw", x, y };
  },
  move(event) {
    const [x, y] = drag.kind === "paint" ? quarters(place(event)) : place(event);
    if (drag.kind === "paint") {
      const [xs, ys] = drag.stroke;
      const isFar = Math.hypot(x - xs.at(-1), y - ys.at(-1)) * scale() >= 2;
      if (isFar && xs.length < LIMIT.points) { xs.push(x); ys.push(y); }
    } else if (drag.kind === "draw") {
      drag.box = ordered([drag.x, drag.y, x, y]);
    } else if (drag.kind === "move") {
      drag.hole = moved(state.holes[drag.at], x - drag.x, y - drag.y);
    } else {
      const hole = [...state.holes[drag.at]];
      for (const side of SIDES[drag.handle]) hole[side] = side % 2 ? y : x;
      drag.hole = ordered(hole);
    }
  },
  end({ kind, stroke, box, at, hole }) {
    if (kind === "paint") commit({ strokes: [...state.strokes, stroke] }, -1);
    else if (box && isLarge(box)) add(box);
    else if (hole && isLarge(hole) && String(hole) !== String(state.holes[at]))
      commit({ holes: state.holes.with(at, hole) });
    else paint();
  },
  paint,
});

element.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  const { tool: name, do: what, preset } = pressed.dataset;
  if (name) selectTool(name);
  if (what) actions[what]();
  if (preset && state.presets[preset]) add(state.presets[preset]);
});

canvas.addEventListener("keydown", (event) => {
  if (!state.view) return;
  const step = Math.max(1, Math.round(state.view.width / 100));
  const hole = state.holes[chosen];
  const key = event.key.toLowerCase();
  if (undoKey(event)) actions[undoKey(event)]();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (key === "n") {
    const { left, top, width, height } = state.view;
    add([left + 0.4 * width, top + 0.4 * height, left + 0.6 * width, top + 0.6 * height]);
  } else if (hole && (key === "delete" || key === "backspace")) {
    commit({ holes: state.holes.toSpliced(chosen, 1) }, state.holes.length - 2);
  } else if (hole && ARROWS[event.key]) {
    const [dx, dy] = ARROWS[event.key].map((v) => v * step);
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
  const next = normalize(value);
  const other = next.view?.src !== state.view?.src;
  state = next;
  clicked = [];
  if (other) {
    history.clear();
    chosen = state.holes.length - 1;
    photo = state.view ? new Image() : null;
    if (photo) {
      photo.onload = paint;
      photo.src = state.view.src;
    }
    canvas.style.aspectRatio = state.view ? `${state.view.width} / ${state.view.height}` : "1";
  }
  presets.replaceChildren(...Object.keys(state.presets).map(
    (name) => make("button", { type: "button", "data-preset": name }, name),
  ));
  sent = JSON.stringify(state);
  paint();
}

const isSamePhoto = (value) => value.source === state.source && value.photo === state.photo;

watch("value", () => {
  const given = normalize(props.value);
  if (JSON.stringify(given) === sent) return;
  const isFirst = !state.source && !state.photo;
  if (isFirst || (isSamePhoto(given) && !state.view)) {
    open(given);
    trigger("edit");
  } else publish(); // the answer to an older state: another photo has been taken since
});

studio.face = {
  open(photo) { // {source} or {photo}
    open({ ...EMPTY, ...photo });
    publish();
  },
  fill(preset) {
    if (state.presets[preset]) commit({ holes: [state.presets[preset]], strokes: [] }, 0);
  },
};

// The server keeps an upload for an hour: the page sends it again.
let lastFile = null;
addEventListener("change", (event) => {
  if (event.target.closest("#inpaint-upload")) [lastFile] = event.target.files;
}, true);
studio.face.gone = async () => {
  if (lastFile && state.photo) {
    state = { ...state, photo: (await upload(lastFile)).path };
    publish();
  }
};

fitToScreen([canvas], paint);
open(props.value);
selectTool("rectangle");
