(board, label, temperature, top_k, seed) => {
  const { kind, first, second, chain = [], codes = 0 } = board ?? {};
  const short = first && codes <= 1296 && first.length * first[0].length <= 400;
  const packed = (grid) => grid.flat().map((v) => v.toString(36).padStart(2, "0")).join("");
  const edits = chain.join("\n"), fits = short && edits.length <= 3000;
  return {
    link: {
      kind, label, temperature, top_k, seed,
      ...(fits ? { a: packed(first), b: packed(second), ...(edits ? { edits } : {}) } : {}),
    },
    note: fits ? "" : "The codes do not fit into a link: it has the settings only.",
    calls: [
      { to: "/edit_codes", args: { codes: first, edits, kind, second } },
      { to: "/sample_codes", args: { kind, label, count: 16, temperature, top_k, seed } },
    ],
  };
}
