// Shared by the components with a canvas: tools, pointer, resolution, undo, keys.
const accentColour = getComputedStyle(element).getPropertyValue("--primary-500").trim();
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

let tool = "";

function selectTool(name) {
  tool = name;
  element.dataset.tool = name;
  element.querySelectorAll("button[data-tool]").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  });
}

let drag = null; // while the pointer is down: what `start` returned, `pointerId` and `canvas`

// `start(event)` returns what the drag is about, or null for none; `move(event)` changes `drag`;
// `end(drag)` gets it when the pointer is lifted. `paint()` follows the first two.
function onDrag(canvas, { start, move, end, paint }) {
  canvas.addEventListener("pointerdown", (event) => {
    if (drag || !event.isPrimary || ![0, 5].includes(event.button)) return; // 5: a pen's eraser
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    const started = start(event);
    if (started) {
      canvas.setPointerCapture(event.pointerId);
      drag = { ...started, pointerId: event.pointerId, canvas };
    }
    paint();
  });
  const isDragged = (event) => event.pointerId === drag?.pointerId && drag.canvas === canvas;
  canvas.addEventListener("pointermove", (event) => {
    if (!isDragged(event)) return;
    move(event);
    paint();
  });
  const finish = (event) => {
    if (!isDragged(event)) return;
    const done = drag;
    drag = null;
    end(done);
  };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
}

// Keep each canvas at the resolution of the screen.
function fitToScreen(canvases, paint) {
  const observer = new ResizeObserver((entries) => {
    const ratio = window.devicePixelRatio || 1;
    for (const { target: canvas } of entries) {
      const [w, h] = [canvas.clientWidth, canvas.clientHeight].map((v) => Math.round(v * ratio));
      if (!w || (w === canvas.width && h === canvas.height)) continue;
      canvas.width = w;
      canvas.height = h;
      paint(canvas);
    }
  });
  canvases.forEach((canvas) => observer.observe(canvas));
}

class History { // states before and after the current one
  constructor(limit) {
    this.limit = limit;
    this.clear();
  }
  clear() {
    this.past = [];
    this.future = [];
  }
  record(state) {
    this.past = [...this.past.slice(-this.limit), state];
    this.future = [];
  }
  undo(state) {
    if (!this.past.length) return null;
    this.future.push(state);
    return this.past.pop();
  }
  redo(state) {
    if (!this.future.length) return null;
    this.past.push(state);
    return this.future.pop();
  }
}

function undoKey(event) { // "undo", "redo", or "" for another key
  const key = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(key)) return "";
  return key === "z" && !event.shiftKey ? "undo" : "redo";
}
