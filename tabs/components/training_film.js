// Shows {sheet: a row of samples for each snapshot, snapshots: [{steps, said}], total, curves: [{title, points: [[steps,
// value], ...]}], note}. The horizontal axis is (steps / total) ^ 0.4: the snapshots, denser at the beginning, are equally far apart on it.
const SAMPLES = 16, COLUMNS = 4, POWER = 0.4;
const canvas = find(".film-samples");
let film = null;
let sheet = null;
let plots = [];

const place = (steps) => (steps / film.total) ** POWER;

function showSnapshot(value) {
  if (!film || !sheet) return;
  const i = Math.round(value);
  const pen = canvas.getContext("2d");
  for (let k = 0; k < SAMPLES; k++) {
    const [x, y] = [(k % COLUMNS) * PX, Math.floor(k / COLUMNS) * PX];
    pen.drawImage(sheet, k * PX, i * PX, PX, PX, x, y, PX, PX);
  }
  const { steps, said } = film.snapshots[i];
  find(".film-said").textContent = said;
  player.slider.setAttribute("aria-valuetext", said);
  plots.forEach(({ mark }) => mark(steps));
}

function plotCurve({ title, points }) {
  const values = points.map(([, v]) => v);
  const near = (steps) => points.reduce((best, one) => (Math.abs(one[0] - steps) < Math.abs(best[0] - steps) ? one : best))[1];
  const steps = (part) => Math.round(part * film.total).toLocaleString("en");
  const { svg, mark } = chart({
    label: `${title}: ${figures(values[0])} at first, ${figures(values.at(-1))} at the end`,
    curves: [{ className: "", points: points.map(([at, v]) => [place(at), v]) }],
    x: [0, 1],
    y: [Math.min(...values), Math.max(...values)],
    ticks: [[0, "0"], ...[0.02, 0.15, 0.45].map((part) => [place(part * film.total), steps(part)]), [1, `${steps(1)} steps`]],
    height: 120,
  });
  find(".film-curves").append(make("p", { class: "starts-title" }, title), svg);
  return { mark: (at) => mark(place(at), [[place(at), near(at)]]) };
}

function showFilm() {
  const value = props.value ?? {};
  find(".film-note").textContent = value.note ?? "";
  find(".film").hidden = !value.sheet;
  player.stop();
  if (!value.sheet) return;
  loadSheet(value.sheet, (image) => {
    [film, sheet] = [value, image];
    player.slider.max = film.snapshots.length - 1;
    player.seconds = film.snapshots.length / 2.5;
    find(".film-curves").replaceChildren();
    plots = film.curves.map(plotCurve);
    player.go(Math.min(player.value, player.last));
  });
}

const player = new Player(showSnapshot, { seconds: 5 });
watch("value", showFilm);
showFilm();
