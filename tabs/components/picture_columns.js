// {columns: [{name, picture: data URL, alt, words, figures: [[name, value]], loss: HTML}], note}.
const root = find(".columns");
const note = find(".results-note");

function column({ name, picture, alt, words = "", figures = [], loss = "" }) {
  const list = make("dl", {});
  for (const [key, value] of figures) {
    const row = make("div", {});
    row.append(Object.assign(make("dt", {}), { textContent: key }));
    row.append(Object.assign(make("dd", {}), { textContent: value }));
    list.append(row);
  }
  const part = make("section", { role: "listitem", "aria-label": name });
  part.append(Object.assign(make("h3", {}), { textContent: name }), make("img", { src: picture, alt }));
  if (figures.length) part.append(list);
  if (loss) part.append(Object.assign(make("p", { class: "loss" }), { innerHTML: loss }));
  if (words) part.append(Object.assign(make("p", { class: "words" }), { innerHTML: words }));
  return part;
}

function show() {
  const value = props.value ?? {};
  note.hidden = !value.note;
  note.textContent = value.note ?? "";
  root.replaceChildren(...(value.columns ?? []).map(column));
}

watch("value", show);
show();
