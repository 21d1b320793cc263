// Shared by the components with curves: a chart as SVG, its colours from CSS.
const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 520, height: 150, left: 44, right: 10, top: 10, bottom: 24 };

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.append(...children);
  return node;
}

const figures = (v) => (v === 0 ? "0" : String(Number(v.toPrecision(2))).replace("-", "−"));

// Curves [{name, className, points: [[x, y], ...]}] in `x` and `y`, both [low, high]; `ticks` [[x, text], ...].
// Gives the <svg> and `mark(points, x)`, which moves the mark to a place and dots to [x, y] points.
function chart({ label, curves, x, y, ticks, height = CHART.height }) {
  const { width, left, right, top, bottom } = CHART;
  const px = (v) => left + ((v - x[0]) / (x[1] - x[0] || 1)) * (width - left - right);
  const py = (v) => height - bottom - ((v - y[0]) / (y[1] - y[0] || 1)) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label });
  for (const v of y) {
    svg.append(draw("line", { x1: left, x2: width - right, y1: py(v), y2: py(v), class: "chart-line" }));
    svg.append(draw("text", { x: left - 6, y: py(v) + 4, "text-anchor": "end" }, figures(v)));
  }
  ticks.forEach(([v, text], i) => {
    const anchor = i === 0 ? "start" : i === ticks.length - 1 ? "end" : "middle";
    svg.append(draw("text", { x: px(v), y: height - 6, "text-anchor": anchor }, text));
  });
  for (const { className, points } of curves) {
    const path = points.map(([a, b]) => `${px(a).toFixed(1)},${py(Math.min(Math.max(b, y[0]), y[1])).toFixed(1)}`).join(" ");
    svg.append(draw("polyline", { points: path, class: className }));
  }
  const bar = draw("line", { y1: top, y2: height - bottom, class: "chart-mark" });
  const dots = draw("g", { class: "chart-dots" });
  svg.append(bar, dots);
  return {
    svg,
    mark(at, points = []) {
      bar.setAttribute("x1", px(at));
      bar.setAttribute("x2", px(at));
      dots.replaceChildren(...points.map(([a, b]) => draw("circle", {
        cx: px(a), cy: py(Math.min(Math.max(b, y[0]), y[1])), r: 5,
      })));
    },
  };
}
