(section, face, on, off, temperature, seed, ...rest) => {
  const sliders = rest.slice(0, 8), [other, keep, film, b, c, way] = rest.slice(8);
  const open = section || "generate", isPhoto = (face || "").includes('"photo"');
  const names = ["Smiling", "Eyeglasses", "Gray_Hair", "Male", "Blond_Hair", "Wearing_Lipstick", "Goatee", other];
  const note = isPhoto ? "Your photo does not go into a link: choose it again there." : "";
  const attributes = Object.fromEntries([...on.map((name) => [name, true]), ...off.map((name) => [name, false])]);
  const official = (words) => words.split(" ").map((word) => word[0].toUpperCase() + word.slice(1)).join("_");
  const asked = Object.fromEntries(Object.entries(attributes).map(([name, is]) => [official(name), is]));
  const calls = [{ to: "/sample_faces", args: { count: 16, attributes: asked, temperature, seed } }];
  const link = { section: open, on: on.join(","), off: off.join(","), temperature, seed };
  if (open === "generate") return { link, note: "", calls };
  const faces = { ...(face && !isPhoto ? { face } : {}) };
  if (open === "change") {
    const changes = Object.fromEntries(sliders.map((value, i) => [names[i], value]).filter(([, value]) => value));
    const moved = Object.fromEntries(sliders.map((value, i) => [`s${i}`, value]));
    const edit = { photo: { file: "photo.jpg" }, changes, keep };
    return { link: { section: open, ...faces, ...moved, other, keep: keep.join(",") }, note,
      calls: isPhoto ? [{ to: "/edit_face", args: edit }] : calls };
  }
  if (open === "mix") return { link: { section: open, ...faces, ...(b ? { b } : {}), ...(c ? { c } : {}), way }, note, calls };
  return { link: { section: open, ...faces }, note, calls };
}
