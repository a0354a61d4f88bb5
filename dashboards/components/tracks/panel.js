// What the cursor stands on in words: angles with their doubt, the whole doubt and error, and each sensor's state.

const ICONS = { ok: "\u2713", absent: "\u2205", stuck: "=", biased: "\u2197", noisy: "\u2248", skewed: "\u21c4", saturated: "\u2588" };

function stateAt(lane, time) {
  const span = lane.spans.find(([from, to]) => time >= from && time < to);
  return span ? { word: span[2], since: span[0] } : { word: "unknown", since: time };
}

function fill(parent, rows) {
  parent.replaceChildren(...rows.map(({ cells, tag }) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => Object.assign(document.createElement(tag), { textContent: text })));
    return row;
  }));
}

function showPanel(view, place) {
  const { scene, root, cursor } = view, panel = root.querySelector(".tracks-panel");
  const rows = [];
  for (const one of scene.tracks) {
    const quat = quatAt(one, cursor);
    if (!quat) { rows.push({ tag: "td", cells: [one.name, "\u2013", "\u2013", "\u2013"] }); continue; }
    const row = rowAt(one, cursor), halves = one.halves ? held.get(one.halves).subarray(3 * row, 3 * row + 3) : null;
    const said = anglesOf(quat).map((angle, k) => `${fixed(angle, 1)}${halves ? ` \u00b1 ${fixed(Math.min(halves[k], 180), 1)}` : ""}`);
    rows.push({ tag: "td", cells: [one.name, ...said] });
  }
  fill(panel.querySelector("thead"), scene.tracks.length ? [{ tag: "th", cells: ["deg, \u00b1 at 90 %", "roll", "pitch", "yaw"] }] : []);
  fill(panel.querySelector("tbody"), rows);
  panel.querySelector(".tracks-whole").textContent = wholeWords(view);
  panel.querySelector(".tracks-sensors").replaceChildren(...scene.health.map((lane) => {
    const item = document.createElement("li"), { word } = stateAt(lane, cursor), strong = document.createElement("b");
    strong.textContent = `${ICONS[word] || "?"} ${word}`;
    item.className = word === CALM ? "" : "is-odd";
    item.append(`${lane.title} `, strong);
    return item;
  }));
  panel.style.top = place.isNarrow ? "" : `${place.bodyBottom + 4}px`;
  root.querySelector(".tracks-status").textContent = statusWords(view);
}

function wholeWords(view) {
  const said = [];
  for (const one of view.scene.tracks) {
    const parts = [];
    if (one.radius) parts.push(`90 % within ${fixed(valueAt(one, one.radius, view.cursor), 1)} deg`);
    if (one.error) parts.push(`off by ${fixed(valueAt(one, one.error, view.cursor), 1)} deg`);
    if (parts.length) said.push(`${one.name}: ${parts.join(", ")}`);
  }
  return said.join("; ");
}

function statusWords(view) {
  const odd = view.scene.health.map((lane) => [lane.title, stateAt(lane, view.cursor)]).filter(([, { word }]) => word !== CALM);
  const states = odd.map(([title, { word, since }]) => `${title} ${word} since ${fixed(since, 2)} s`).join(", ");
  const main = view.scene.health.length ? states || "no sensor is accused" : "no sensor's health is told";
  return `At ${fixed(view.cursor, 2)} s: ${main}. ${view.scene.says}`;
}
