// Where the map is looked at: a middle in the map's metres (y downwards) and a zoom, 1 where all that it opens on is in sight.

const FIT = 0.96;
const BARS_PX = 46;  // that the legend takes below, and the tools above
const MIN_ZOOM = 0.5, MIN_ZOOM_INSIDE = 0.1;  // of a map that opens on a part of itself
const MAX_ZOOM = 2000, FINEST = 0.05;  // metres a pixel
const SLOW_MS = 4;  // a drawing slower than this is moved as it is while the hand moves it; its pixels cost as much again
const REST_MS = 120;  // after which it is drawn anew
const BARE = 0.3;  // of the window that may lie bare meanwhile
const linked = new Map();

function frameOf(view) {
  const given = view.header.bounds, box = given ? [given[0], -given[3], given[2], -given[1]] : view.shapes.bounds;
  const { width, height } = view.canvas, free = Math.max(height - 2 * BARS_PX * devicePixelRatio, height / 2);
  return { box, x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2, fit: FIT * Math.min(width / (box[2] - box[0]), free / (box[3] - box[1])) };
}

function transform(view) {
  const { canvas } = view, scale = frameOf(view).fit * view.zoom;
  return { scale, x: canvas.width / 2 - scale * view.x, y: canvas.height / 2 - scale * view.y };
}

function ground(t, px, py) { return [(px - t.x) / t.scale, -(py - t.y) / t.scale]; }

// What may be brought to the middle of the window: the regions, what the map opens on, and its rasters.
function reach(view) {
  const [left, top, right, bottom] = frameOf(view).box, found = [left, top, right, bottom];
  const [a, b, c, d] = view.shapes.bounds;
  widen(found, a, b);
  widen(found, c, d);
  for (const { raster } of view.layers) {
    if (!raster) continue;
    widen(found, raster.bounds[0], -raster.bounds[3]);
    widen(found, raster.bounds[2], -raster.bounds[1]);
  }
  return found;
}

function settleWithin(view) {
  const { fit } = frameOf(view), [left, top, right, bottom] = reach(view);
  const finest = view.ground && view.ground.isMetric ? Math.max(devicePixelRatio / FINEST / fit, 1) : MAX_ZOOM;
  view.zoom = Math.min(Math.max(view.zoom, view.header.bounds ? MIN_ZOOM_INSIDE : MIN_ZOOM), Math.min(MAX_ZOOM, finest));
  view.x = Math.min(Math.max(view.x, left), right);
  view.y = Math.min(Math.max(view.y, top), bottom);
}

function goHome(view) {
  const { x, y } = frameOf(view);
  Object.assign(view, { x, y, zoom: 1 });
}

// Zoom so that what is under (px, py) stays there.
function zoomAt(view, factor, px, py) {
  const t = transform(view), x = (px - t.x) / t.scale, y = (py - t.y) / t.scale, { canvas } = view, before = view.zoom;
  view.zoom *= factor;
  settleWithin(view);
  if (view.zoom === before) return;
  const { scale } = transform(view);
  view.x = x - (px - canvas.width / 2) / scale;
  view.y = y - (py - canvas.height / 2) / scale;
  moved(view);
}

function zoomIn(view, factor) { zoomAt(view, factor, view.canvas.width / 2, view.canvas.height / 2); }

function panBy(view, dx, dy) {
  const { scale } = transform(view);
  view.x -= dx / scale;
  view.y -= dy / scale;
  moved(view);
}

function lookAt(view, indices) {
  const { fit } = frameOf(view), { canvas } = view, box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const index of indices) {
    const [left, top, right, bottom] = view.shapes.boxes[index] || box;
    if (Number.isFinite(left)) { widen(box, left, top); widen(box, right, bottom); }
  }
  if (!Number.isFinite(box[0])) return;
  view.x = (box[0] + box[2]) / 2;
  view.y = (box[1] + box[3]) / 2;
  const near = (indices.length > 1 ? 0.9 : 0.3) * Math.min(canvas.width / Math.max(box[2] - box[0], 1e-6), canvas.height / Math.max(box[3] - box[1], 1e-6)) / fit;
  view.zoom = indices.length === 1 && view.shapes.places.has(indices[0]) ? Math.max(view.zoom, 4) : Math.max(Math.min(near, 40), 1);
  moved(view);
}

function moved(view) {
  settleWithin(view);
  slide(view);
  noteView(view);
  const { scale } = transform(view), [x, y] = view.header.origin;
  for (const other of linked.get(view.header.link) || []) {
    if (other === view || !other.shapes || !other.canvas.isConnected) continue;
    other.x = view.x + x - other.header.origin[0];
    other.y = view.y - y + other.header.origin[1];
    other.zoom = scale / frameOf(other).fit;
    settleWithin(other);
    slide(other);
    noteView(other);
  }
}

function link(view) {
  for (const group of linked.values()) group.delete(view);
  const name = view.header.link;
  if (!name) return;
  if (!linked.has(name)) linked.set(name, new Set());
  const group = linked.get(name), other = [...group].find((one) => one.canvas.isConnected && one.shapes);
  group.add(view);
  return other;
}

// A view as the page keeps it: latitude, longitude, zoom.
function viewWords(view) {
  const at = lonlat(view, view.x, -view.y), { x, y } = frameOf(view), { scale } = transform(view);
  if (!at) return "";
  const isHome = Math.abs(view.zoom - 1) < 1e-3 && Math.hypot(view.x - x, view.y - y) * scale < 2;
  return isHome ? "" : `${at[1].toFixed(5)},${at[0].toFixed(5)},${Number(view.zoom.toPrecision(4))}`;
}

function noteView(view) {
  if (!view.header.tells_view) return;
  clearTimeout(view.noting);
  if (view.mode === "draw") return;  // it would end the run of the page that takes the drawing
  view.noting = setTimeout(() => view.tell("view", viewWords(view)), 700);
}

function openAt(view, words) {
  const [latitude, longitude, zoom] = words.split(",").map(Number), at = view.ground && forward(view, longitude, latitude);
  if (!at || !(zoom > 0)) return;
  Object.assign(view, { x: at[0], y: -at[1], zoom });
  settleWithin(view);
}

// While the hand moves it, a slow map is moved as the picture that it is; it is drawn anew as soon as the hand rests.
function slide(view) {
  if (!view.drawn || view.tookMs < SLOW_MS) { schedule(view, "all"); return; }
  clearTimeout(view.rest);
  view.rest = setTimeout(() => schedule(view, "all"), REST_MS);
  if (view.isSliding) return;
  view.isSliding = true;
  requestAnimationFrame(() => {
    view.isSliding = false;
    const now = transform(view), { drawn, canvas } = view, by = now.scale / drawn.scale, ratio = devicePixelRatio;
    const x = now.x - by * drawn.x, y = now.y - by * drawn.y;
    const bare = Math.max(x / canvas.width, y / canvas.height, 1 - (x + by * canvas.width) / canvas.width, 1 - (y + by * canvas.height) / canvas.height);
    if (bare > BARE) { draw(view, "all"); return; }
    view.stage.style.transform = `translate(${x / ratio}px, ${y / ratio}px) scale(${by})`;
  });
}
