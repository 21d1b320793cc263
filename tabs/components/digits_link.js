(section, label, count, temperature, guidance, steps, seed, own, task, sigma, part, ownSeed, styled, read, other) => {
  const models = ["ae", "vae", "cvae", "vq", "gan", "diffusion"];
  if (section === "your-digit") {
    const { link, note, argument: drawing } = studio.packed(own);
    const name = { "Take noise away": "denoise", "Fill in a part": "inpaint" }[task] ?? "reconstruct";
    const calls = models.map((model) => ({
      to: "/reconstruct_digit", args: { drawing, model, task: name, sigma, part, seed: ownSeed },
    }));
    return { link: { section, task, sigma, part, seed: ownSeed, ...link }, note, calls };
  }
  if (section === "style") {
    const { link, note, argument: drawing } = studio.packed(styled);
    const args = { drawing, label: read.length === 1 ? Number(read) : null };
    return { link: { section, own: read, other, ...link }, note, calls: [{ to: "/transfer_style", args }] };
  }
  const settings = { label: label === "any" ? null : Number(label), count, temperature, seed, steps, guidance };
  const calls = models.map((model) => ({ to: "/sample_digits", args: { model, ...settings } }));
  if (section && section !== "compare") return { link: { section }, note: "", calls };
  return { link: { label, count, temperature, guidance, steps, seed }, note: "", calls };
}
