(drawing, label, count, temperature, seed) => {
  const strokes = drawing?.strokes ?? [], erase = drawing?.erase ?? [];
  const base = drawing?.base ?? null;
  const digits = (v) => Math.min(Math.max(Math.round(v), 0), 255).toString(36).padStart(2, "0");
  const thin = ([xs, ys]) => {
    const kept = [];
    xs.forEach((x, i) => {
      const [px, py] = kept.at(-1) ?? [-9, -9];
      if (Math.hypot(x - px, ys[i] - py) >= 3 || i === xs.length - 1) kept.push([x, ys[i]]);
    });
    return kept.map(([x, y]) => digits(x) + digits(y)).join("");
  };
  const ink = strokes.map((stroke, i) => (erase[i] ? "-" : "") + thin(stroke)).join(".");
  const fits = !base && ink.length <= 6000;
  const rounded = strokes.map(([xs, ys]) => [xs, ys].map((axis) => axis.map(Math.round)));
  const plain = !base && !erase.some(Boolean);
  return {
    link: { label, count, temperature, seed, ...(fits && ink ? { ink } : {}) },
    note: fits ? "" : "The drawing does not fit into a link: it has the settings only.",
    calls: [{
      to: "/complete_sketch",
      args: {
        drawing: plain ? rounded : { strokes: rounded, erase, base }, label, count, temperature, seed,
      },
    }],
  };
}
