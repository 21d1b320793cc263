(pad, smile, glasses, count, temperature, seed) => {
  const holes = pad?.holes ?? [], strokes = pad?.strokes ?? [], face = pad?.source ?? "";
  const rounded = strokes.map((stroke) => stroke.map((axis) => axis.map(Math.round)));
  const erased = strokes.length ? { holes, strokes: rounded, brush: pad.brush } : holes;
  const photo = { file: face ? `tabs/sample_faces/face-${face.padStart(2, "0")}.png` : "photo.jpg" };
  const shared = face && holes.length && !strokes.length;
  const link = { smile, glasses, count, temperature, seed };
  const smiles = smile === "side by side" ? ["smile", "no smile"] : [smile];
  let note = "";
  if (!face) note = "Your photo stays with you: the link has the settings only.";
  else if (strokes.length) note = "Brush strokes do not fit into a link: it has the face and the settings.";
  return {
    link: {
      ...link, ...(face ? { face } : {}), ...(shared ? { holes: holes.map((h) => h.join(",")).join(";") } : {}),
    },
    note,
    calls: smiles.map((value) => ({
      to: "/inpaint_face",
      args: { photo, rectangle: erased, smile: value, glasses, count, seed, temperature },
    })),
  };
}
