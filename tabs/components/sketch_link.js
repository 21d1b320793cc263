(drawing, label, count, temperature, seed, view, threshold) => {
  const { link, note, argument } = studio.packed(drawing);
  const look = view === "Binary" ? { view, threshold } : {};
  const args = { drawing: argument, label, count, temperature, seed, spread: true };
  return {
    link: { label, count, temperature, seed, ...look, ...link }, note, calls: [{ to: "/complete_sketch", args }],
  };
}
