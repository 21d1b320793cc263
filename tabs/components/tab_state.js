// Asks the server for what a tab shows, and asks again until it has answered. Each state of the tab has a
// sequence number, and the answer names the one that it answers. One request is under way at a time; the
// next has the newest state. Not over Gradio's event stream, which loses events: see docs/lost-events.md.
// `studio[tab]`: `change()` says that an input may have changed, `ask()` asks even if none has. Gradio then
// passes the inputs' values to `collected`, and takes the outputs' from `results`, the inputs' from `restored`.
const BUSY_MS = 300, TIMEOUT_MS = 45000, RETRY_MS = [500, 1000, 2000, 4000, 8000];
const LOCAL = ["view", "pictures", "look"]; // parts of a value of which the server need only know if they are there
const BUSY = "Busy"; // the title of an error after which one asks again
const lean = (name, value) => (LOCAL.includes(name) ? Boolean(value) : value);
const line = find(".tab-state-line");
const again = find(".tab-state-line button");

let sequence = 0; // of the newest state
let wanted = 0; // the newest state that is to be answered
let answered = 0;
let isAsking = false;
let isRestored = false;
let isForced = false;
let data = [];
let known = ""; // the newest state that was asked for or answered, as text
let failures = 0;
let timers = { busy: 0, retry: 0 };

function show(state, text = "") {
  line.dataset.state = state;
  find('[data-text="state"]').textContent = text;
  again.hidden = state !== "failed";
}

function collected(values, link) {
  if (!isRestored) return;
  data = values.slice(0, props.sent);
  studio.keep(props.tab, values, link);
  const text = JSON.stringify(data, lean);
  const isIdle = data[0]?.live === false || data[0]?.settled;
  if (!isForced && (text === known || isIdle)) {
    if (isIdle) known = "";
    return;
  }
  isForced = false;
  known = text;
  wanted = sequence += 1;
  element.dataset.wanted = wanted;
  send();
}

async function post(name, values) { // the outputs' values; `name` is "ask" or "open"
  const place = new URL(`gradio_api/run/${props.tab}_${name}`, location.origin + location.pathname);
  const response = await fetch(place, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ data: values }, lean),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer = await response.json();
  if (response.ok) return answer.data;
  const text = answer.error ?? answer.detail;
  if (answer.title === BUSY || [408, 429, 502, 503, 504].includes(response.status) || !text) throw Error(text);
  return [{ error: text }];
}

async function send() {
  if (isAsking || wanted === answered) return;
  isAsking = true;
  clearTimeout(timers.retry);
  timers.busy = setTimeout(() => show("busy", failures ? "Asking again ..." : "Working ..."), BUSY_MS);
  const asked = wanted;
  try {
    const [head, ...outputs] = await post("ask", [asked, ...data]);
    if (!head.error && head.answers !== asked) throw Error("an answer to another state");
    failures = 0;
    answered = asked;
    element.dataset.answered = answered;
    const text = head.error ?? outputs.find((value) => value?.said)?.said ?? "";
    find('[data-text="said"]').textContent = text;
    if (head.error) show("refused", head.error);
    else {
      if (wanted === answered) show("idle");
      me.results = outputs;
      trigger("answer");
    }
  } catch (error) {
    show("failed", error.message === BUSY ? "The server is busy." : "The server does not answer.");
    timers.retry = setTimeout(send, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
    failures += 1;
  } finally {
    clearTimeout(timers.busy);
    isAsking = false;
  }
  if (!failures) send();
}

async function restore() { // from the storage, or from the link by which the page was opened
  const { tab = props.first, ...query } = studio.query;
  me.restored = studio.states[props.tab];
  const isLink = !me.restored && tab === props.tab && Object.keys(query).length > 0;
  for (let tries = 0; isLink && !me.restored; tries += 1) {
    try {
      const [head, ...values] = await post("open", [query]);
      me.restored = head.error ? [] : values;
    } catch {
      show("failed", "The server does not answer.");
      await new Promise((after) => setTimeout(after, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]));
    }
  }
  show("idle");
  if (me.restored) trigger("restore");
  else me.restoredAll();
}

const me = (studio[props.tab] = {
  change: () => trigger("collect"),
  ask() {
    isForced = true;
    trigger("collect");
  },
  collected,
  restoredAll() {
    isRestored = true;
    trigger("collect");
  },
});
again.addEventListener("click", send);
addEventListener("online", send);
restore();
