// What the tabs share: `studio` holds a `TabState` of each tab by its name, and keeps their states in
// the page's address and, whole, in the session's storage: reloading, going back and a restarted server
// lose nothing.
const MAX_DRAWING = 7500; // characters of a drawing in a link
const SAVE_MS = 300; // browsers allow some 200 changes of the address in 10 s
const studio = (window.studio ??= (() => {
  const query = new URLSearchParams(location.search);
  const stored = (() => {
    try {
      return JSON.parse(sessionStorage.getItem("studio")) ?? {};
    } catch {
      return {}; // no storage in this browser
    }
  })();
  const here = location.search;
  const states = stored.address === here ? stored.states : {};
  const links = stored.address === here ? stored.links : {};
  let timer = 0;

  function save() {
    clearTimeout(timer);
    timer = 0;
    const address = `?${new URLSearchParams({ tab: shared.open, ...links[shared.open] })}`;
    const isKept = !links[shared.open] && new URLSearchParams(location.search).get("tab") === shared.open;
    if (location.search !== address && !isKept) history.replaceState(history.state, "", address);
    try {
      sessionStorage.setItem("studio", JSON.stringify({ address: location.search, states, links }));
    } catch {
      // full, or none: the address alone is kept
    }
  }

  const shared = {
    open: query.get("tab") ?? "",
    query: Object.fromEntries(query),
    states,
    keep(tab, values, link) {
      states[tab] = values;
      links[tab] = link;
      shared.open ||= tab;
      timer ||= setTimeout(save, SAVE_MS);
    },
    show(tab) {
      shared.open = tab;
      timer ||= setTimeout(save, SAVE_MS);
    },
  };
  // A drawing in a link: {link: {pen, base}, note, argument: what an endpoint takes}. `pen` is strokes of
  // base-36 coordinates in quarters of a px, "-" before what is erased.
  shared.packed = (drawing) => {
    const strokes = drawing?.strokes ?? [], erase = drawing?.erase ?? [], base = drawing?.base ?? null;
    const place = (v) => Math.min(Math.max(Math.round(4 * v) + 128, 0), 1295).toString(36).padStart(2, "0");
    const pen = strokes
      .map(([xs, ys], i) => (erase[i] ? "-" : "") + xs.map((x, k) => place(x) + place(ys[k])).join(""))
      .join(".");
    const fits = pen.length + (base?.length ?? 0) <= MAX_DRAWING;
    return {
      link: fits ? { ...(pen ? { pen } : {}), ...(base ? { base: base.split(",")[1] } : {}) } : {},
      note: fits ? "" : "The drawing does not fit into a link: it has the settings only.",
      argument: !base && !erase.some(Boolean) ? strokes : { strokes, erase, base },
    };
  };
  addEventListener("pagehide", () => timer && save());
  return shared;
})());
