// {tab, ask: "" | "link" | "python", link: {name: text}, calls: [{to, args: {name: value}}], note}.
// A press sets `ask` and triggers "ask"; what comes back is written out, shown and copied.
// An argument {file: "photo.jpg"} stands for an uploaded file.
const text = find(".share-text");
const status = find(".share-status");

function literal(value) {
  if (value === null || value === undefined) return "None";
  if (value === true || value === false) return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    if (value.file) return `handle_file(${JSON.stringify(value.file)})`;
    const pairs = Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${literal(v)}`);
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value);
}

function call({ to, args }) {
  const lines = Object.entries(args).map(([name, value]) => `    ${name}=${literal(value)},`);
  return ["print(client.predict(", ...lines, `    api_name=${JSON.stringify(to)},`, "))"].join("\n");
}

function python(calls) {
  const body = calls.map(call).join("\n");
  const files = body.includes("handle_file(") ? ", handle_file" : "";
  const home = location.origin + location.pathname;
  return `from gradio_client import Client${files}\n\nclient = Client(${JSON.stringify(home)})\n${body}\n`;
}

function address(tab, link) {
  const query = new URLSearchParams({ tab, ...link });
  return `${location.origin}${location.pathname}?${query}`;
}

async function copyShared() {
  const { ask, tab, link, calls, note = "" } = props.value ?? {};
  if (!ask || !link) return;
  text.hidden = false;
  text.firstElementChild.textContent = ask === "link" ? address(tab, link) : python(calls);
  const remark = ask === "link" ? note : "";
  try {
    await navigator.clipboard.writeText(text.textContent);
    status.textContent = `Copied. ${remark}`;
  } catch {
    getSelection().selectAllChildren(text);
    status.textContent = `Press Ctrl+C to copy it. ${remark}`;
  }
}

element.addEventListener("click", (event) => {
  const ask = event.target.closest("[data-ask]")?.dataset.ask;
  if (!ask) return;
  props.value = { tab: props.value.tab, ask };
  trigger("ask");
});
watch("value", copyShared);
