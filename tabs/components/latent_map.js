// The map of a latent plane. Takes {map: {view: [left, bottom, side], points: [[x, y, class]], scale, sheet, columns,
// prior}, note}, {digit: {mean, std, seen, note} | null} and {exact: {serial, sheet}}, in any combination. Triggers
// "decode" when point or line came to rest; until the answer is here, pictures are interpolated between those of the
// map's grid.
const COLOURS = ["#4a78d0", "#d9730d", "#2e9e5b", "#d64550", "#8a63d2", "#9c6b3f", "#d65db1", "#7d8590", "#a8a11b", "#19a3b8"];
const STRIP = 11; // pictures along the line
const REACH_PX = 26; // from which a handle is taken
const SETTLE_MS = 250; // after the last arrow key
const plane = find(".latent-plane");
const decoded = find(".latent-decoded");
const strip = find(".latent-strip");
const classes = find(".latent-classes");
const text = (name, words) => { find(`[data-text="${name}"]`).textContent = words; };

let map = null;
let levels = null; // of the decoded grid: Uint8Array, a picture after the other
let grid = null; // the same as a picture
let handles = { point: [0, 0], a: [0, 0], b: [0, 0] };
let digit = null;
let exact = null; // the sheet of the exact pictures: the point's, then the line's
let alone = null; // the one class that is shown
let serial = 0;
let settling = 0;

const toScreen = ([x, y], side) => {
  const [left, bottom, extent] = map.view;
  return [((x - left) / extent) * side, (1 - (y - bottom) / extent) * side];
};
const inside = ([x, y]) => {
  const [left, bottom, extent] = map.view;
  return [clamp(x, left, left + extent), clamp(y, bottom, bottom + extent)];
};
const along = (t) => handles.a.map((v, axis) => v + t * (handles.b[axis] - v));

// The picture at a place, bilinear between the four of the grid around it.
function interpolated([x, y]) {
  const { columns: n, view: [left, bottom, extent] } = map;
  const column = clamp(((x - left) / extent) * n - 0.5, 0, n - 1);
  const row = clamp((1 - (y - bottom) / extent) * n - 0.5, 0, n - 1);
  const [c, r] = [Math.min(Math.floor(column), n - 2), Math.min(Math.floor(row), n - 2)];
  const [u, v] = [column - c, row - r];
  const corners = [[r, c, (1 - u) * (1 - v)], [r, c + 1, u * (1 - v)], [r + 1, c, (1 - u) * v], [r + 1, c + 1, u * v]];
  const picture = new ImageData(PX, PX);
  for (let i = 0; i < PX * PX; i++) {
    let level = 0;
    for (const [row_, column_, weight] of corners) level += weight * levels[(row_ * n + column_) * PX * PX + i];
    picture.data.fill(Math.round(level), 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  }
  return picture;
}

function readLevels(sheet) {
  const { width, height } = sheet;
  const canvas = make("canvas", { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(sheet, 0, 0);
  const pixels = pen.getImageData(0, 0, width, height).data;
  const n = width / PX;
  const found = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const picture = Math.floor(y / PX) * n + Math.floor(x / PX);
      found[picture * PX * PX + (y % PX) * PX + (x % PX)] = pixels[4 * (y * width + x)];
    }
  }
  return found;
}

function paintPictures() {
  if (!levels) return;
  const pen = strip.getContext("2d");
  if (exact) {
    drawDigit(decoded, exact, STRIP + 1, 0);
    pen.drawImage(exact, PX, 0, STRIP * PX, PX, 0, 0, STRIP * PX, PX);
    return;
  }
  decoded.getContext("2d").putImageData(interpolated(handles.point), 0, 0);
  for (let i = 0; i < STRIP; i++) pen.putImageData(interpolated(along(i / (STRIP - 1))), i * PX, 0);
}

function say() {
  const [x, y] = handles.point.map((v) => v.toFixed(2).replace("-", "−"));
  text("place", `z = (${x}, ${y})`);
  text("exact", exact ? "Decoded exactly." : "While it moves: interpolated between decoded neighbours.");
}

function paint() {
  const pen = plane.getContext("2d");
  const side = plane.clientWidth;
  const ratio = plane.width / Math.max(side, 1);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, side, side);
  if (!map || !side) return;
  const gridded = element.dataset.view === "grid";
  if (gridded && grid) pen.drawImage(grid, 0, 0, side, side);
  paintAxes(pen, side, gridded);
  if (!gridded) paintPoints(pen, side);
  paintLine(pen, side);
  if (digit) paintDigit(pen, side);
  paintHandle(pen, side, "a", "A");
  paintHandle(pen, side, "b", "B");
  paintHandle(pen, side, "point", "");
  if (!drag && !player.frame) say();
}

function paintAxes(pen, side, gridded) {
  const style = getComputedStyle(element);
  const [left, bottom, extent] = map.view;
  pen.strokeStyle = gridded ? "rgb(255 255 255 / 35%)" : style.getPropertyValue("--studio-line");
  pen.fillStyle = gridded ? "#fff" : style.getPropertyValue("--studio-mute");
  pen.font = "11px system-ui, sans-serif";
  pen.lineWidth = 1;
  const [x0, y0] = toScreen([0, 0], side);
  pen.beginPath();
  pen.moveTo(x0, 0);
  pen.lineTo(x0, side);
  pen.moveTo(0, y0);
  pen.lineTo(side, y0);
  pen.stroke();
  if (map.prior) {
    pen.setLineDash([4, 4]);
    pen.beginPath();
    pen.arc(x0, y0, (2 / extent) * side, 0, 2 * Math.PI);
    pen.stroke();
    pen.setLineDash([]);
  }
  if (gridded) return;
  const step = [1, 2, 5, 10, 20, 50, 100].find((one) => extent / one <= 8) ?? 200;
  for (let v = Math.ceil(left / step) * step; v < left + extent; v += step) {
    if (v) pen.fillText(String(v).replace("-", "−"), toScreen([v, 0], side)[0] - 4, side - 5);
  }
  for (let v = Math.ceil(bottom / step) * step; v < bottom + extent; v += step) {
    if (v) pen.fillText(String(v).replace("-", "−"), 5, toScreen([0, v], side)[1] + 4);
  }
}

function paintPoints(pen, side) {
  const radius = side > 450 ? 2.6 : 2;
  const { low, high, levels: steps, points } = map;
  const places = points.map(([x, y, label]) => [
    ...toScreen([low[0] + (x / steps) * (high[0] - low[0]), low[1] + (y / steps) * (high[1] - low[1])], side), label,
  ]);
  for (let label = 0; label < 10; label++) {
    pen.fillStyle = COLOURS[label];
    pen.globalAlpha = alone === null ? 0.75 : label === alone ? 0.95 : 0.08;
    pen.beginPath();
    for (const [x, y, own] of places) {
      if (own !== label) continue;
      pen.moveTo(x + radius, y);
      pen.arc(x, y, radius, 0, 2 * Math.PI);
    }
    pen.fill();
  }
  pen.globalAlpha = 1;
  nameClasses(pen, places);
}

function nameClasses(pen, places) { // at the middle of each class, unless another name is there
  const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
  const taken = [];
  pen.font = "700 17px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  const style = getComputedStyle(element);
  for (let label = 0; label < 10; label++) {
    const own = places.filter((place) => place[2] === label);
    if (!own.length || (alone !== null && alone !== label)) continue;
    const [x, y] = [0, 1].map((axis) => median(own.map((place) => place[axis])));
    if (taken.some(([a, b]) => Math.hypot(a - x, b - y) < 16)) continue;
    taken.push([x, y]);
    pen.strokeStyle = style.getPropertyValue("--studio-soft");
    pen.strokeText(label, x, y);
    pen.fillStyle = style.getPropertyValue("--studio-text");
    pen.fillText(label, x, y);
  }
  pen.textAlign = "start";
  pen.textBaseline = "alphabetic";
}

function paintLine(pen, side) {
  const [[ax, ay], [bx, by]] = [toScreen(handles.a, side), toScreen(handles.b, side)];
  for (const [colour, width] of [["#fff", 5], ["#292524", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(ax, ay);
    pen.lineTo(bx, by);
    pen.stroke();
  }
}

function paintDigit(pen, side) { // two standard deviations of q(z | x)
  const [x, y] = toScreen(digit.mean, side);
  const radii = (digit.std ?? [0, 0]).map((std) => Math.max(((2 * std) / map.view[2]) * side, 3));
  pen.beginPath();
  pen.ellipse(x, y, ...radii, 0, 0, 2 * Math.PI);
  pen.fillStyle = accentColour;
  pen.globalAlpha = 0.25;
  pen.fill();
  pen.globalAlpha = 1;
  for (const [colour, width] of [["#fff", 4], [accentColour, 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke();
  }
}

function paintHandle(pen, side, name, letter) {
  const [x, y] = toScreen(handles[name], side);
  const chosen = tool === name;
  pen.beginPath();
  pen.arc(x, y, letter ? 10 : 8, 0, 2 * Math.PI);
  pen.fillStyle = letter ? "#292524" : accentColour;
  pen.fill();
  pen.strokeStyle = "#fff";
  pen.lineWidth = chosen ? 3.5 : 2;
  pen.stroke();
  if (chosen) {
    pen.beginPath();
    pen.arc(x, y, letter ? 13 : 11, 0, 2 * Math.PI);
    pen.strokeStyle = letter ? "#292524" : accentColour;
    pen.lineWidth = 2;
    pen.stroke();
  }
  if (!letter) return;
  pen.fillStyle = "#fff";
  pen.font = "700 12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(letter, x, y + 0.5);
  pen.textAlign = "start";
  pen.textBaseline = "alphabetic";
}

function sync() {
  props.value = { variant: map?.variant, point: handles.point, line: [handles.a, handles.b], serial };
}

function moved() { // something is elsewhere: what was exact is not any more
  serial += 1;
  exact = null;
  paint();
  paintPictures();
}

function settle() { // ask for the exact pictures
  clearTimeout(settling);
  if (!map) return;
  say();
  sync();
  trigger("decode");
}

function place(event) {
  const box = plane.getBoundingClientRect();
  const [left, bottom, extent] = map.view;
  const [u, v] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  return inside([left + u * extent, bottom + (1 - v) * extent]);
}

function takeHandle(event) { // the nearest one in reach, else the chosen one comes here
  const { left, top, width } = plane.getBoundingClientRect();
  const distance = (name) => {
    const [x, y] = toScreen(handles[name], width);
    return Math.hypot(event.clientX - left - x, event.clientY - top - y);
  };
  const names = [tool, ...Object.keys(handles)].filter((name) => distance(name) < REACH_PX);
  names.sort((a, b) => distance(a) - distance(b));
  if (names.length) selectTool(names[0]);
  handles[tool] = place(event);
}

const player = new Player((t) => {
  if (!map) return;
  handles.point = along(t);
  moved();
}, { seconds: 4, back: true, settled: settle });

onDrag(plane, {
  start(event) {
    if (!map) return null;
    player.stop();
    takeHandle(event);
    moved();
    return {};
  },
  move(event) {
    handles[tool] = place(event);
    moved();
  },
  end: settle,
  paint,
});

plane.addEventListener("keydown", (event) => {
  if (!map || event.ctrlKey || event.metaKey || event.altKey) return;
  const way = ARROWS[event.key];
  const name = { p: "point", a: "a", b: "b" }[event.key.toLowerCase()];
  if (name) selectTool(name);
  if (way) {
    player.stop();
    const step = map.view[2] / (event.shiftKey ? 12 : 60);
    handles[tool] = inside([handles[tool][0] + way[0] * step, handles[tool][1] - way[1] * step]);
    moved();
    clearTimeout(settling);
    settling = setTimeout(settle, SETTLE_MS);
  }
  if (!way && !name) return;
  event.preventDefault();
  paint();
});

element.addEventListener("click", (event) => {
  const { view, label, tool: name } = event.target.closest("button")?.dataset ?? {};
  if (view) selectView(view);
  if (name) selectTool(name);
  if (label) {
    alone = alone === Number(label) ? null : Number(label);
    classes.querySelectorAll("button").forEach((button) => {
      button.setAttribute("aria-pressed", String(Number(button.dataset.label) === alone));
    });
  }
  paint();
});

function selectView(name) {
  element.dataset.view = name;
  element.querySelectorAll("[data-view]").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.view === name));
  });
}

function takeMap(value) {
  map = value;
  levels = null;
  const [left, bottom, extent] = map.view;
  const at = (u, v) => [left + u * extent, bottom + v * extent];
  handles = { point: at(0.5, 0.6), a: map.line[0], b: map.line[1] };
  player.stop();
  player.slider.value = 0;
  loadSheet(map.sheet, (sheet) => {
    if (map !== value) return; // another one since
    grid = sheet;
    levels = readLevels(sheet);
    if (digit) handles.point = inside(digit.mean);
    moved();
    settle();
  });
}

function takeDigit(value) {
  digit = value;
  find(".latent-own").hidden = !digit;
  if (!digit) return;
  find(".latent-seen").src = digit.seen;
  text("own", digit.note);
  if (levels) {
    player.stop();
    handles.point = inside(digit.mean);
    selectTool("point");
    moved();
    settle();
  }
}

function show() {
  const value = props.value ?? {};
  const { map: given, exact: answer } = value;
  if (!given && !answer && !("digit" in value)) return; // what we have set ourselves
  if ("note" in value) text("note", value.note);
  if (given) takeMap(given);
  if ("digit" in value) takeDigit(value.digit);
  if (answer?.serial === serial) {
    loadSheet(answer.sheet, (sheet) => {
      if (answer.serial !== serial) return;
      exact = sheet;
      paintPictures();
      say();
    });
  }
  paint();
  sync();
}

classes.replaceChildren(...COLOURS.map((colour, label) => {
  const swatch = make("i", { style: `background: ${colour}` });
  const button = make("button", { type: "button", "data-label": label, "aria-pressed": "false" }, swatch, String(label));
  button.title = `Only the digits ${label}`;
  return button;
}));
watch("value", show);
fitToScreen([plane], paint);
new MutationObserver(paint).observe(document.body, { attributeFilter: ["class"] });
selectView("points");
selectTool("point");
show();
