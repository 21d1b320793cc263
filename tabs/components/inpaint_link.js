(pad, smile, glasses, count, temperature, seed) => {
  const holes = pad?.holes ?? [], strokes = pad?.strokes ?? [], face = pad?.source ?? "";
  const digits = (v) => Math.round(4 * v).toString(36).padStart(2, "0");
  const brush = strokes.map(([xs, ys]) => xs.map((x, i) => digits(x) + digits(ys[i])).join("")).join(".");
  const isShort = brush.length <= 6000 && strokes.flat(2).every((v) => v >= 0 && v < 323);
  const erased = strokes.length ? { holes, strokes, brush: pad.brush } : holes;
  const photo = { file: face ? `tabs/sample_faces/face-${face.padStart(2, "0")}.png` : "photo.jpg" };
  const side = pad?.view?.width ?? 128; // of a sample, whose eyes are where CelebA has them
  const eyes = face ? [[22, 33], [41.5, 33]].map((eye) => eye.map((v) => (v * side) / 64)) : pad?.eyes ?? null;
  const link = { smile, glasses, count, temperature, seed };
  const smiles = smile === "side by side" ? ["smile", "no smile"] : [smile];
  let note = "";
  if (!face) note = "Your photo stays with you: the link has the settings only.";
  else if (!isShort) note = "So much of the brush does not fit into a link: it has the rectangles and settings.";
  return {
    link: {
      ...link, ...(face ? { face } : {}),
      ...(face && holes.length ? { holes: holes.map((h) => h.join(",")).join(";") } : {}),
      ...(face && brush && isShort ? { brush } : {}),
    },
    note,
    calls: smiles.map((value) => ({
      to: "/inpaint_face",
      args: { photo, rectangle: erased, smile: value, glasses, count, seed, eyes, temperature },
    })),
  };
}
