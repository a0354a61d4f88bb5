// What the user wants to see under the regions, and on which scale; kept in the browser, and sent to nobody.

const STORE = "mainstem-map";
const wanted = { lines: true, names: true, graticule: true, fixed: true, tiles: "", isTiled: false, ...stored() };
const opens = new Set();  // every map of the page: one switch holds for all

function stored() {
  try { return JSON.parse(localStorage.getItem(STORE) || "{}"); } catch { return {}; }
}

function store() {
  try { localStorage.setItem(STORE, JSON.stringify(wanted)); } catch { /* kept for this page alone */ }
}

function switchScale(view) {
  wanted.fixed = !wanted.fixed;
  store();
  announce(view, wanted.fixed ? "Colours on the scale of all seasons" : "Colours on the scale of this season");
  for (const one of opens) if (one.shapes && one.canvas.isConnected) { one.isFixed = wanted.fixed; paint(one, "regions"); }
}

function applyWants(view) {
  const given = wanted.tiles || view.header.tiles, { root } = view, why = root.querySelector(".fieldmap-tiles-why");
  view.wants = wanted;
  view.isFixed = wanted.fixed;
  const found = wanted.isTiled ? tileAddress(given) : {};
  view.tiles = found.address ? found : null;
  why.textContent = found.why || "";
  for (const name of ["lines", "names", "graticule"]) root.querySelector(`[name=${name}]`).checked = wanted[name];
  root.querySelector("[name=tiled]").checked = wanted.isTiled;
  const field = root.querySelector("[name=tiles]");
  if (field !== root.activeElement && field !== field.getRootNode().activeElement) field.value = given;
  showCredits(view);
}

function listenToWants(view) {
  const { root } = view, change = (key, value) => {
    wanted[key] = value;
    store();
    for (const one of opens) if (one.shapes && one.canvas.isConnected) { applyWants(one); schedule(one, "all"); }
  };
  opens.add(view);
  for (const name of ["lines", "names", "graticule"]) root.querySelector(`[name=${name}]`).addEventListener("change", (event) => change(name, event.target.checked));
  root.querySelector("[name=tiled]").addEventListener("change", (event) => change("isTiled", event.target.checked));
  root.querySelector("[name=tiles]").addEventListener("change", (event) => change("tiles", event.target.value.slice(0, 2000)));
}
