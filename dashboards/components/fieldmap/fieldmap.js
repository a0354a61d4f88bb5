// The component: one view a mount, four canvases one over another, so that a change draws only what it touches.

const views = new WeakMap();
const HATCHED = 1;

function layer(view) { return view.layers.find((one) => one.title === view.shown) || view.layers[0]; }

// `what` is "all", "under", "regions", "over" or "marks".
function draw(view, what) {
  if (!view.shapes) return;
  const t = transform(view), started = performance.now(), isAll = what === "all";
  if (isAll) {
    clearTimeout(view.rest);
    view.stage.style.transform = "";
    view.drawn = t;
  }
  if (isAll || what === "under") drawUnder(view, t);
  if (isAll || what === "regions") drawRegions(view, t);
  if (isAll || what === "over") drawOver(view, t);
  drawMarks(view, t);
  if (!isAll) return;
  showScale(view);
  view.tookMs = performance.now() - started;
  view.canvas.dataset.tookMs = view.tookMs.toFixed(1);
}

function schedule(view, what) {
  view.due ||= new Set();
  view.due.add(what);
  if (view.due.size > 1 || view.isDue) return;
  view.isDue = true;
  requestAnimationFrame(() => {
    const due = view.due;
    Object.assign(view, { due: new Set(), isDue: false });
    if (due.has("all")) draw(view, "all");
    else for (const one of due) draw(view, one);
  });
}

// Fit the canvases to the frame, and say whether they were not: one that is set is empty.
function size(view) {
  const { clientWidth, clientHeight } = view.frame;
  const width = Math.max(Math.round(clientWidth * devicePixelRatio), 1), height = Math.max(Math.round(clientHeight * devicePixelRatio), 1);
  if (view.canvas.width === width && view.canvas.height === height) return false;
  for (const canvas of view.stage.children) Object.assign(canvas, { width, height });
  return true;
}

function paint(view, what) {
  if (what !== "marks") view.painted = layer(view).title;
  const started = performance.now(), { canvas } = view;
  canvas.setAttribute("aria-label", `Map of ${view.header.ids.length} regions, coloured by ${layer(view).title}. ${KEYS}; the table holds the same values.`);
  legend(view);
  tools(view);
  draw(view, what);
  canvas.dataset.polygons = view.shapes.paths.length;
  canvas.dataset.rasters = view.layers.filter((one) => one.raster).length;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    Object.assign(canvas.dataset, { stamp: view.header.stamp, layer: layer(view).title, paintedMs: performance.now(), drawMs: performance.now() - started });
  }));
}

// The page is told of the layers that it keeps in its address, or has something more to ask of, as the date of a scene.
function show(view, title) {
  const known = (name) => (view.header.told.includes(name) ? name : "");
  const before = known(layer(view).title);
  view.shown = title;
  paint(view, "regions");
  if (known(title) !== before) view.tell("layer", known(title));
}

function open(root) {
  const canvas = root.querySelector(".fieldmap-regions"), frame = root.querySelector(".fieldmap-frame");
  const view = { root, canvas, frame, context: canvas.getContext("2d"), zoom: 1, x: 0, y: 0, hovered: -1, selected: -1, mode: "", corners: null };
  view.stage = root.querySelector(".fieldmap-stage");
  for (const name of ["under", "over", "marks"]) view[name] = root.querySelector(`.fieldmap-${name}`);
  views.set(root, view);
  themed(view, false);
  size(view);
  listen(view);
  return view;
}

// Where the map looks when it is first shown, when another map takes its place, and when the page has found a region.
function openView(view, before) {
  const { header } = view;
  if (!before || before.map !== header.map) {
    goHome(view);
    if (header.view) openAt(view, header.view);
  }
  const other = link(view);
  if (other && (!before || before.link !== header.link)) {
    const { scale } = transform(other);
    Object.assign(view, { x: other.x + other.header.origin[0] - header.origin[0], y: other.y - other.header.origin[1] + header.origin[1] });
    view.zoom = scale / frameOf(view).fit;
    settleWithin(view);
  }
  if (header.found && String(header.found) !== view.found) {
    view.found = String(header.found);
    if (before || !header.view) lookAt(view, header.found[0].map((name) => header.ids.indexOf(name)));
  }
}

// A press anywhere on the page sends the map again; as a rule it is the one that is held.
function isHeld(view, told) {
  const { header } = view, now = told.header, same = (name) => JSON.stringify(header[name]) === JSON.stringify(now[name]);
  return header && header.stamp === now.stamp && header.map === now.map && ["shapes", "ground", "layers", "names", "bounds", "origin"].every(same);
}

// A browser that loses its canvases gives them back empty.
function drawAnew(view) {
  pictures.clear();
  Object.assign(view, { drawn: null, edges: null, pattern: null });
  schedule(view, "all");
}

// True where nothing but the marks has changed since all was drawn.
function isAsDrawn(view) {
  const now = transform(view), { drawn } = view;
  return drawn && view.painted === layer(view).title && now.scale === drawn.scale && now.x === drawn.x && now.y === drawn.y;
}

export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
  const view = views.get(parentElement) || open(parentElement);
  view.trigger = setTriggerValue;
  view.tell = setStateValue;
  const before = view.header, formerShapes = view.shapes;
  const { lacking, ...told } = read(data instanceof Uint8Array ? data : new Uint8Array(data));
  if (lacking.length) { setStateValue("wanted", `${lacking.join(",")}:${Date.now()}`); return; }
  const isSame = isHeld(view, told);
  if (isSame) Object.assign(told, { layers: view.layers, flags: view.flags });  // and the paths that were made of them
  Object.assign(view, told, { shapes: parts.get(told.header.shapes), ground: parts.get(told.header.ground) || null });
  const { header } = view;
  if (!before || (before.shown !== header.shown && header.shown)) view.shown = header.shown;
  if (before && before.map !== header.map) Object.assign(view, { corners: null, mode: "" });  // half a field of another map
  if (view.shapes !== formerShapes) { view.hovered = -1; showTip(view, []); }
  view.selected = header.ids.indexOf(header.selected);
  const isSized = size(view);
  applyWants(view);
  openView(view, before);
  answerPage(view, before);
  paint(view, isSame && !isSized && isAsDrawn(view) ? "marks" : "all");
}
