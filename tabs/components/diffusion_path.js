// Shows {sheet: a row of x_t above a row of predicted x_0, steps: [{t, level, said}], schedule, curves: {name: alpha_bars}}.
const said = find(".path-said");
const pictures = { x: find('[data-picture="x"]'), x0: find('[data-picture="x0"]') };
let path = null;
let sheet = null;
let plot = null;

function showStep(value) {
  if (!path || !sheet) return;
  const i = Math.round(value);
  const { t, level, said: words } = path.steps[i];
  const count = path.steps.length;
  drawDigit(pictures.x, sheet, count, i);
  drawDigit(pictures.x0, sheet, count, count + i);
  const place = i === count - 1 ? "The end" : `Step ${i + 1} of ${count - 1}, t = ${t}`;
  const share = level > 0.0995 ? (100 * level).toFixed(0) : (100 * level).toPrecision(1);
  said.firstElementChild.textContent = `${place}: xₜ is ${share} % signal, α̅ = ${level.toFixed(level > 0.0995 ? 2 : 4)}`;
  said.lastElementChild.textContent = words;
  player.slider.setAttribute("aria-valuetext", place);
  plot.mark(t, [[t, level]]);
}

function showPath() {
  const value = props.value ?? {};
  if (!value.sheet) return;
  const { steps, schedule, curves } = value;
  player.stop();
  loadSheet(value.sheet, (image) => {
    [path, sheet] = [value, image];
    const last = steps.length - 1;
    const atEnd = player.value >= player.last;
    player.slider.max = last;
    player.slider.dataset.stride = Math.max(1, Math.round(last / 12));
    player.seconds = Math.min(2 + last / 12, 8);
    const horizon = curves[schedule].length - 1;
    plot = chart({
      label: `Share of signal by timestep, for the ${schedule} schedule`,
      curves: Object.entries(curves).map(([name, levels]) => ({
        className: name === schedule ? "" : "faint",
        points: levels.map((level, i) => [(i / horizon) * value.timesteps, level]),
      })),
      x: [value.timesteps, 0],
      y: [0, 1],
      ticks: [[value.timesteps, `t = ${value.timesteps}: noise`], [0, "t = 0: the digit"]],
    });
    find(".path-chart").replaceChildren(plot.svg);
    const other = Object.keys(curves).find((name) => name !== schedule);
    find(".starts-title").textContent =
      `How much of xₜ is signal (α̅): the ${schedule} schedule, dashed the ${other} one. The dot is where this step is.`;
    player.go(atEnd ? last : Math.min(player.value, last));
  });
}

const player = new Player(showStep, { seconds: 4 });
watch("value", showPath);
showPath();
