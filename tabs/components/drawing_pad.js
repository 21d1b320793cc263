// A drawing pad whose value is the strokes themselves:
// {strokes: [[xs, ys], ...], erase: [bool, ...], base: null | PNG data URL, live: bool},
// in px of a `props.side` square. Triggers "edit" at each change, "live" if it is to be completed at once.
const LIMIT = { strokes: 1000, points: 20000, stroke: 2000, undo: 200 };
const REACH = 30; // px beyond an edge
const MIN_STEP = 1.5; // px between two points
const DRAFT_MS = 250; // between two looks at an unfinished stroke
const canvas = find("canvas");
const ink = canvas.getContext("2d");
const live = find(".pad-live input");
const hint = find(".pad-hint");
const button = (name) => find(`[data-do="${name}"]`);

let drawing = { strokes: [], erase: [], base: null }; // never changed in place
const history = new History(LIMIT.undo);
let draft = 0; // when the unfinished stroke was last sent
let sent = "";
let base = null; // the decoded picture of drawing.base

const isEmpty = (d) => d.strokes.length === 0 && !d.base;
const withStroke = (d, s) => ({
  ...d,
  strokes: [...d.strokes, [[...s.xs], [...s.ys]]],
  erase: [...d.erase, s.erase],
});
const normalize = (value) => ({
  strokes: value?.strokes ?? [],
  erase: value?.erase ?? (value?.strokes ?? []).map(() => false),
  base: value?.base ?? null,
});

function drawStroke(xs, ys, erase) {
  const width = erase ? props.eraser : props.pen;
  ink.strokeStyle = ink.fillStyle = erase ? "#fff" : "#000";
  ink.lineWidth = width;
  ink.beginPath();
  if (xs.length === 1) {
    ink.arc(xs[0], ys[0], width / 2, 0, 2 * Math.PI);
    ink.fill();
    return;
  }
  xs.forEach((x, i) => (i ? ink.lineTo(x, ys[i]) : ink.moveTo(x, ys[i])));
  ink.stroke();
}

function paint() {
  const scale = canvas.width / props.side;
  ink.setTransform(scale, 0, 0, scale, 0, 0);
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, props.side, props.side);
  ink.lineCap = ink.lineJoin = "round";
  if (base?.complete) ink.drawImage(base, 0, 0, props.side, props.side);
  drawing.strokes.forEach(([xs, ys], i) => drawStroke(xs, ys, drawing.erase[i]));
  if (drag) drawStroke(drag.xs, drag.ys, drag.erase);
  hint.hidden = !isEmpty(drawing) || drag !== null;
  button("undo").disabled = history.past.length === 0;
  button("redo").disabled = history.future.length === 0;
  button("clear").disabled = isEmpty(drawing);
}

function publish(d) {
  const value = { ...d, live: live.checked };
  sent = JSON.stringify(normalize(value));
  props.value = value;
  trigger("edit");
  if (live.checked) trigger("live");
}

function show(d) {
  if (d.base !== drawing.base || !base) {
    base = d.base ? new Image() : null;
    if (base) {
      base.onload = paint;
      base.src = d.base;
    }
  }
  drawing = d;
  paint();
  publish(d);
}

function commit(d) {
  history.record(drawing);
  show(d);
}

const actions = {
  undo() {
    const before = history.undo(drawing);
    if (before) show(before);
  },
  redo() {
    const after = history.redo(drawing);
    if (after) show(after);
  },
  clear() {
    if (isEmpty(drawing)) return;
    commit({ strokes: [], erase: [], base: null });
    trigger("clear");
  },
};

function position(event) { // in px of the square; somewhat outside it, too
  const box = canvas.getBoundingClientRect();
  const scaled = (v, low, size) => {
    const px = clamp(((v - low) / size) * props.side, -REACH, props.side + REACH);
    return Math.round(px * 4) / 4; // a link has quarters of a px, too
  };
  return [scaled(event.clientX, box.left, box.width), scaled(event.clientY, box.top, box.height)];
}

function addPoint(event) {
  const [x, y] = position(event);
  if (Math.hypot(x - drag.xs.at(-1), y - drag.ys.at(-1)) < MIN_STEP) return;
  drag.xs.push(x);
  drag.ys.push(y);
}

onDrag(canvas, {
  start(event) {
    const points = drawing.strokes.reduce((sum, [xs]) => sum + xs.length, 0);
    if (drawing.strokes.length >= LIMIT.strokes || points >= LIMIT.points - LIMIT.stroke) return null;
    draft = performance.now();
    const [x, y] = position(event);
    return { xs: [x], ys: [y], erase: tool === "eraser" || event.button === 5 };
  },
  move(event) {
    if (drag.xs.length >= LIMIT.stroke) return;
    const steps = event.getCoalescedEvents?.() ?? [];
    (steps.length ? steps : [event]).forEach(addPoint);
    if (live.checked && performance.now() - draft > DRAFT_MS) {
      draft = performance.now();
      publish(withStroke(drawing, drag));
    }
  },
  end(stroke) {
    commit(withStroke(drawing, stroke));
  },
  paint,
});

element.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (pressed?.dataset.tool) selectTool(pressed.dataset.tool);
  if (pressed?.dataset.do) actions[pressed.dataset.do]();
});

const KEYS = {
  delete: actions.clear,
  backspace: actions.clear,
  p: () => selectTool("pen"),
  e: () => selectTool("eraser"),
};

canvas.addEventListener("keydown", (event) => {
  const isHeld = event.ctrlKey || event.metaKey || event.altKey;
  const action = actions[undoKey(event)] ?? (isHeld ? null : KEYS[event.key.toLowerCase()]);
  if (!action) return;
  event.preventDefault();
  action();
});

live.addEventListener("change", () => publish(drawing));

watch("value", () => {
  const given = normalize(props.value);
  if (JSON.stringify(given) === sent) return;
  commit(given);
  if (given.base) canvas.scrollIntoView({ block: "nearest", behavior: "smooth" }); // a tile was chosen
});

fitToScreen([canvas], paint);
drawing = normalize(props.value);
sent = JSON.stringify(drawing);
selectTool("pen");
paint();
