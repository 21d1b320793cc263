// A drawing pad whose value is the strokes themselves:
// {strokes: [[xs, ys], ...], erase: [bool, ...], base: null | PNG data URL, live: bool},
// in px of a `props.side` square. Triggers "live" when a change is to be completed at once.
const LIMIT = { strokes: 1000, points: 20000, undo: 200 };
const DRAFT_MS = 250; // between two looks at an unfinished stroke
const canvas = element.querySelector("canvas");
const ink = canvas.getContext("2d");
const live = element.querySelector(".pad-live input");
const hint = element.querySelector(".pad-hint");
const button = (name) => element.querySelector(`[data-do="${name}"]`);

let drawing = { strokes: [], erase: [], base: null }; // never changed in place
let past = [], future = [];
let tool = "pen";
let stroke = null; // the one under the pointer: {xs, ys, erase, id}
let draft = 0; // when the unfinished stroke was last sent
let sent = "";
let base = null; // the decoded picture of drawing.base

const bare = (d) => d.strokes.length === 0 && !d.base;
const withStroke = (d, s) => ({
  ...d,
  strokes: [...d.strokes, [[...s.xs], [...s.ys]]],
  erase: [...d.erase, s.erase],
});
const plain = (value) => ({
  strokes: value?.strokes ?? [],
  erase: value?.erase ?? (value?.strokes ?? []).map(() => false),
  base: value?.base ?? null,
});

function line(xs, ys, erase) {
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
  drawing.strokes.forEach(([xs, ys], i) => line(xs, ys, drawing.erase[i]));
  if (stroke) line(stroke.xs, stroke.ys, stroke.erase);
  hint.hidden = !bare(drawing) || stroke !== null;
  button("undo").disabled = past.length === 0;
  button("redo").disabled = future.length === 0;
  button("clear").disabled = bare(drawing);
}

function publish(d) {
  const value = { ...d, live: live.checked };
  sent = JSON.stringify(plain(value));
  props.value = value;
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
  past = [...past.slice(-LIMIT.undo), drawing];
  future = [];
  show(d);
}

const acts = {
  undo() {
    if (!past.length) return;
    future.push(drawing);
    show(past.pop());
  },
  redo() {
    if (!future.length) return;
    past.push(drawing);
    show(future.pop());
  },
  clear() {
    if (!bare(drawing)) commit({ strokes: [], erase: [], base: null });
  },
};

function take(name) {
  tool = name;
  element.querySelectorAll("[data-tool]").forEach((b) => {
    b.setAttribute("aria-pressed", String(b.dataset.tool === name));
  });
  canvas.dataset.tool = name;
}

function add(event) {
  const box = canvas.getBoundingClientRect();
  const at = (v, low, size) => {
    const px = ((v - low) / size) * props.side;
    return Math.round(Math.min(Math.max(px, -props.side), 2 * props.side) * 10) / 10;
  };
  const x = at(event.clientX, box.left, box.width);
  const y = at(event.clientY, box.top, box.height);
  const last = stroke.xs.length - 1;
  if (last >= 0 && Math.hypot(x - stroke.xs[last], y - stroke.ys[last]) < 1) return;
  stroke.xs.push(x);
  stroke.ys.push(y);
}

canvas.addEventListener("pointerdown", (event) => {
  const points = drawing.strokes.reduce((sum, [xs]) => sum + xs.length, 0);
  const full = drawing.strokes.length >= LIMIT.strokes || points >= LIMIT.points - 2000;
  if (stroke || full || !event.isPrimary || ![0, 5].includes(event.button)) return;
  event.preventDefault();
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  const erase = tool === "eraser" || event.button === 5; // 5: the eraser end of a pen
  stroke = { xs: [], ys: [], erase, id: event.pointerId };
  draft = performance.now();
  add(event);
  paint();
});

canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== stroke?.id || stroke.xs.length >= 2000) return;
  const steps = event.getCoalescedEvents?.() ?? [];
  (steps.length ? steps : [event]).forEach(add);
  paint();
  if (live.checked && performance.now() - draft > DRAFT_MS) {
    draft = performance.now();
    publish(withStroke(drawing, stroke));
  }
});

function finish(event) {
  if (event.pointerId !== stroke?.id) return;
  const done = stroke;
  stroke = null;
  commit(withStroke(drawing, done));
}
canvas.addEventListener("pointerup", finish);
canvas.addEventListener("pointercancel", finish);

element.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (pressed?.dataset.tool) take(pressed.dataset.tool);
  if (pressed?.dataset.do) acts[pressed.dataset.do]();
});

canvas.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const held = event.ctrlKey || event.metaKey;
  let act = null;
  if (held && key === "z") act = event.shiftKey ? acts.redo : acts.undo;
  else if (held && key === "y") act = acts.redo;
  else if (held || event.altKey) return;
  else if (key === "delete" || key === "backspace") act = acts.clear;
  else if (key === "p") act = () => take("pen");
  else if (key === "e") act = () => take("eraser");
  if (!act) return;
  event.preventDefault();
  act();
});

live.addEventListener("change", () => publish(drawing));

watch("value", () => {
  const given = plain(props.value);
  if (JSON.stringify(given) !== sent) commit(given);
});

new ResizeObserver(() => {
  const px = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
  if (!px || px === canvas.width) return;
  canvas.width = canvas.height = px;
  paint();
}).observe(canvas);

drawing = plain(props.value);
sent = JSON.stringify(drawing);
take("pen");
paint();
