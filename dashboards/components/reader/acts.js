// Decisions, and turns to another study. Each carries a number, which the server's next picture repeats once it has
// taken the act; until then it is sent again, and nothing else is: a newer message would take the place of one unread.

const RESEND_MS = 10000;
const ADDRESS_MS = 100, MOST_LOOKS = 20;  // between looks at the address, and how many
const TURN = "turn";

function act(view, name, steps = 0) {
  const { waiting } = view;
  if (!waiting) send(view, name, steps);
  else if (name === TURN && waiting.name === TURN) waiting.then += steps;
  else waiting.refused = waiting.name === TURN
    ? `${labelOf(view, name)} was not taken, as the study it would be about was not open yet: press again when you see it`
    : `${labelOf(view, name)} was not taken: ${labelOf(view, waiting.name).toLowerCase()} comes first`;
  busy(view);
}

function send(view, name, steps) {
  const seconds = Math.round(performance.now() - view.since) / 1000, { level, width } = view.window;
  const [mask, heatmap] = ["mask", "heatmap"].map((kind) => view.seen.has(kind));
  const num = Math.max(Date.now(), (view.lastAct || 0) + 1);
  view.lastAct = num;
  view.refused = "";
  const told = JSON.stringify({ act: name, num, steps, key: view.volume.header.key, mask, heatmap, window: [level, width], seconds });
  view.waiting = { name, num, href: location.href, then: 0, refused: "", again: setInterval(() => (view.canvas.isConnected ? view.trigger("act", told) : clearInterval(view.waiting?.again)), RESEND_MS) };
  view.trigger("act", told);
}

// The server's picture repeats the number of the act that it has taken.
function taken(view, num) {
  const { waiting } = view;
  if (!waiting || waiting.num !== num || waiting.isTaken) return;
  waiting.isTaken = true;
  clearInterval(waiting.again);
  settle(view, waiting, 0);
}

// Every message names the study by the page's address, which follows the picture: one sent earlier would ask for the old.
function settle(view, waiting, looks) {
  if (waiting.name === TURN && location.href === waiting.href && looks < MOST_LOOKS) {
    setTimeout(() => settle(view, waiting, looks + 1), ADDRESS_MS);
    return;
  }
  view.waiting = null;
  if (waiting.then) send(view, TURN, waiting.then);
  (view.waiting || view).refused = waiting.refused;
  busy(view);
  ask(view);
}

function labelOf(view, name) {
  if (name === TURN) return "Going on to another study";
  return (view.volume.header.panel.acts.find(([one]) => one === name) || [name, name])[1];
}

function busy(view) {
  const { waiting } = view, box = view.root.querySelector(".reader-busy");
  const doing = !waiting ? "" : waiting.name === TURN ? "Another study is opening …" : `${labelOf(view, waiting.name)}: asking …`;
  const text = [doing, waiting?.refused || view.refused].filter(Boolean).join(" ");
  box.hidden = !text;
  if (box.textContent !== text) box.textContent = text;
  view.canvas.dataset.waiting = waiting ? waiting.name : "";
}
