// A map of polygons on a 2-D canvas. Geometry comes once under its key; after that colours alone arrive.
// Payload: u32 header length, header JSON, padding to 4 bytes, rgba u8 (4 a region) of every layer, flags u8 (1 a region),
// padding, u8 pixels of each layer that has a raster (0: nothing, 1-255 along its ramp), padding, then, only when the
// header says so, ring ends u32, region of ring u32, xy f32 (projected metres, y upwards).

const geometries = new Map();
const views = new WeakMap();
const HATCHED = 1;
const MIN_ZOOM = 0.1, MAX_ZOOM = 60;  // of a map that opens on a part of itself; others open at their smallest
const SLOW_MS = 12;  // a full drawing slower than this is replaced by its own picture while the map is dragged
const REST_MS = 120;  // after which the picture gives way to a full drawing
const SMALL_PX = 5;  // fields smaller than this, on average, are drawn without borders

function read(bytes) {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(copy.subarray(4, 4 + length)));
  let at = Math.ceil((4 + length) / 4) * 4;
  const layers = header.layers.map((layer, index) => {
    const from = at + 4 * header.regions * index;
    return { ...layer, colours: copy.subarray(from, from + 4 * header.regions) };
  });
  at += 4 * header.regions * layers.length;
  const flags = copy.subarray(at, at + header.regions);
  at = Math.ceil((at + header.regions) / 4) * 4;
  for (const layer of layers) {
    if (!layer.raster) continue;
    const size = layer.raster.width * layer.raster.height;
    layer.image = picture(copy.subarray(at, at + size), layer);
    at += size;
  }
  at = Math.ceil(at / 4) * 4;
  if (header.rings) {
    const ends = new Uint32Array(copy.buffer, at, header.rings);
    const owners = new Uint32Array(copy.buffer, at + 4 * header.rings, header.rings);
    const xy = new Float32Array(copy.buffer, at + 8 * header.rings);
    geometries.set(header.key, shape(ends, owners, xy, header));
  }
  return { header, layers, flags };
}

function shape(ends, owners, xy, { polygons, regions }) {
  const paths = Array.from({ length: polygons }, () => new Path2D());
  const boxes = Array.from({ length: polygons }, () => [Infinity, Infinity, -Infinity, -Infinity]);
  const bounds = [Infinity, Infinity, -Infinity, -Infinity];
  let start = 0;
  for (let ring = 0; ring < ends.length; ring++) {
    const path = paths[owners[ring]], box = boxes[owners[ring]];
    for (let i = start; i < ends[ring]; i++) {
      const x = xy[2 * i], y = -xy[2 * i + 1];
      if (i === start) path.moveTo(x, y); else path.lineTo(x, y);
      for (const b of owners[ring] < regions || !regions ? [box, bounds] : [box]) {  // the view opens on the regions
        b[0] = Math.min(b[0], x); b[1] = Math.min(b[1], y); b[2] = Math.max(b[2], x); b[3] = Math.max(b[3], y);
      }
    }
    path.closePath();
    start = ends[ring];
  }
  const lines = new Path2D(), around = new Path2D();
  let width = 0;
  for (let i = 0; i < polygons; i++) {
    (i < regions ? lines : around).addPath(paths[i]);
    if (i < regions) width += (boxes[i][2] - boxes[i][0]) / regions;
  }
  return { paths, boxes, bounds, lines, around, width };
}

function rgb(text) { return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)); }

function picture(pixels, { raster, ramp }) {
  const stops = ramp.map(rgb), table = new Uint8ClampedArray(256 * 4);
  for (let value = 1; value < 256; value++) {
    const at = ((value - 1) / 254) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
    for (let band = 0; band < 3; band++) table[4 * value + band] = stops[low][band] + (at - low) * (stops[low + 1][band] - stops[low][band]);
    table[4 * value + 3] = 255;
  }
  const canvas = document.createElement("canvas");
  canvas.width = raster.width;
  canvas.height = raster.height;
  const pen = canvas.getContext("2d"), image = pen.createImageData(raster.width, raster.height);
  const from = new Uint32Array(table.buffer), to = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) to[i] = from[pixels[i]];
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Fields of one colour are one path: a few hundred fills in place of twenty thousand.
function groups(view, shown) {
  if (shown.groups && shown.of === view.geometry) return shown.groups;
  const found = new Map(), { colours } = shown, { regions } = view.header;
  for (let i = 0; i < regions; i++) {
    const key = `rgb(${colours[4 * i] & 0xfc} ${colours[4 * i + 1] & 0xfc} ${colours[4 * i + 2] & 0xfc})`;
    if (!found.has(key)) found.set(key, new Path2D());
    found.get(key).addPath(view.geometry.paths[i]);
  }
  shown.of = view.geometry;
  return (shown.groups = found);
}

function hatch(context) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 7;
  const pen = tile.getContext("2d");
  for (const [colour, width] of [["rgba(0,0,0,0.55)", 3], ["rgba(255,255,255,0.9)", 1.4]]) {  // seen on dark and on light
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    for (const shift of [-7, 0, 7]) { pen.moveTo(shift, 7); pen.lineTo(shift + 7, 0); }
    pen.stroke();
  }
  return context.createPattern(tile, "repeat");
}

function transform(view) {
  const { canvas, geometry, header } = view, given = header.bounds;
  const [left, top, right, bottom] = given ? [given[0], -given[3], given[2], -given[1]] : geometry.bounds;
  const fit = 0.96 * Math.min(canvas.width / (right - left), canvas.height / (bottom - top));
  const scale = fit * view.zoom;
  return { scale, x: canvas.width / 2 - scale * ((left + right) / 2 + view.dx), y: canvas.height / 2 - scale * ((top + bottom) / 2 + view.dy) };
}

function draw(view) {
  const { canvas, context, geometry, header, flags } = view;
  if (!geometry) return;
  const started = performance.now(), shown = layer(view), t = transform(view);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;  // pixels stay sharp, and the hatch is not smoothed into a tint
  context.setTransform(t.scale, 0, 0, t.scale, t.x, t.y);
  context.lineWidth = 0.5 * devicePixelRatio / t.scale;
  context.strokeStyle = "rgba(120,120,120,0.55)";
  if (geometry.paths.length > header.regions) {
    context.fillStyle = "rgba(128,128,128,0.10)";
    context.fill(geometry.around, "evenodd");
    context.stroke(geometry.around);
  }
  if (shown.image) {
    const [left, bottom, right, top] = shown.raster.bounds;
    context.drawImage(shown.image, left, -top, right - left, top - bottom);
    context.strokeStyle = "rgba(20,20,20,0.75)";
  } else if (view.zoom < 4) {
    for (const [colour, path] of groups(view, shown)) { context.fillStyle = colour; context.fill(path, "evenodd"); }
  } else {
    for (let i = 0; i < header.regions; i++) {
      const box = geometry.boxes[i];
      if (box[2] * t.scale + t.x < 0 || box[0] * t.scale + t.x > canvas.width || box[3] * t.scale + t.y < 0 || box[1] * t.scale + t.y > canvas.height) continue;
      context.fillStyle = `rgb(${shown.colours[4 * i]} ${shown.colours[4 * i + 1]} ${shown.colours[4 * i + 2]})`;
      context.fill(geometry.paths[i], "evenodd");
    }
  }
  if (geometry.width * t.scale > SMALL_PX) context.stroke(geometry.lines);
  view.pattern ||= hatch(context);
  view.pattern.setTransform(new DOMMatrix().scale(1 / t.scale));
  context.fillStyle = view.pattern;
  for (let i = 0; i < header.regions; i++) if (shown.claimed && flags[i] & HATCHED) context.fill(geometry.paths[i], "evenodd");
  for (const [index, width, colour] of [[view.hovered, 2, "#111"], [view.selected, 3, "#d1006f"]]) {
    if (index >= 0 && index < header.regions) {
      context.lineWidth = width * devicePixelRatio / t.scale;
      context.strokeStyle = colour;
      context.stroke(geometry.paths[index]);
    }
  }
  canvas.dataset.polygons = geometry.paths.length;
  canvas.dataset.rasters = view.layers.filter((one) => one.image).length;
  sketch(view, t);
  view.tookMs = performance.now() - started;
}

// What is being drawn by hand, and the cross that the keyboard draws with.
function sketch(view, t) {
  if (!view.corners) return;
  const { context, canvas } = view, unit = devicePixelRatio / t.scale;
  context.strokeStyle = "#d1006f";
  context.lineWidth = 2 * unit;
  context.beginPath();
  view.corners.forEach(([x, y], index) => (index ? context.lineTo(x, -y) : context.moveTo(x, -y)));
  context.stroke();
  context.fillStyle = "#d1006f";
  for (const [x, y] of view.corners) context.fillRect(x - 3 * unit, -y - 3 * unit, 6 * unit, 6 * unit);
  const [x, y] = ground(t, canvas.width / 2, canvas.height / 2);
  context.strokeStyle = "#111";
  context.lineWidth = unit;
  context.beginPath();
  context.moveTo(x - 9 * unit, -y); context.lineTo(x + 9 * unit, -y);
  context.moveTo(x, -y - 9 * unit); context.lineTo(x, -y + 9 * unit);
  context.stroke();
}

function ground(t, px, py) { return [(px - t.x) / t.scale, -(py - t.y) / t.scale]; }

function startDrawing(view) {
  view.corners = view.corners ? null : [];
  view.canvas.focus();
  tools(view);
  schedule(view);
}

function addCorner(view, px, py) {
  const corner = ground(transform(view), px, py), last = view.corners.at(-1);
  if (!last || Math.hypot(corner[0] - last[0], corner[1] - last[1]) > 0.5) view.corners.push(corner);
  schedule(view);
}

function finishDrawing(view) {
  if (view.corners.length >= 3) view.trigger("drawn", JSON.stringify({ map: view.header.map, corners: view.corners }));
  view.corners = null;
  tools(view);
  schedule(view);
}

// While dragging, a slow map is moved as a picture of itself; it is drawn anew as soon as the hand rests.
function slide(view) {
  if (view.tookMs < SLOW_MS) { schedule(view); return; }
  const { canvas, context } = view;
  if (!view.snapshot) {
    const copy = document.createElement("canvas");
    copy.width = canvas.width;
    copy.height = canvas.height;
    copy.getContext("2d").drawImage(canvas, 0, 0);
    view.snapshot = { copy, x: view.at.x, y: view.at.y };
  }
  clearTimeout(view.rest);
  view.rest = setTimeout(() => settle(view), REST_MS);
  if (view.pending) return;
  view.pending = true;
  requestAnimationFrame(() => {
    view.pending = false;
    if (!view.snapshot) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const now = transform(view);
    context.drawImage(view.snapshot.copy, now.x - view.snapshot.x, now.y - view.snapshot.y);
  });
}

function settle(view) {
  clearTimeout(view.rest);
  view.snapshot = null;
  schedule(view);
}

function find(view, event) {
  const { canvas, context, geometry, header } = view, box = canvas.getBoundingClientRect();
  const px = (event.clientX - box.left) * canvas.width / box.width, py = (event.clientY - box.top) * canvas.height / box.height;
  const t = transform(view), x = (px - t.x) / t.scale, y = (py - t.y) / t.scale;
  context.setTransform(1, 0, 0, 1, 0, 0);
  for (let i = 0; i < header.regions; i++) {
    const b = geometry.boxes[i];
    if (x >= b[0] && x <= b[2] && y >= b[1] && y <= b[3] && context.isPointInPath(geometry.paths[i], x, y, "evenodd")) return i;
  }
  return -1;
}

function say(view, index, event) {
  const tip = view.root.querySelector(".fieldmap-tip");
  if (index < 0) { tip.style.display = "none"; return; }
  const box = view.canvas.getBoundingClientRect();
  tip.textContent = view.header.labels[index];
  tip.style.display = "block";
  const x = Math.min(event.clientX - box.left + 14, box.width - 230);
  tip.style.transform = `translate(${Math.max(x, 0)}px, ${event.clientY - box.top + 14}px)`;
}

// An act, not a state: the page may choose otherwise afterwards, and the same region may then be chosen here again.
function choose(view, index) {
  if (index < 0 || index === view.selected) return;
  view.selected = index;
  draw(view);
  view.trigger("selected", view.header.ids[index]);
}

function step(view, by) {
  const { regions } = view.header;
  if (regions) choose(view, view.selected < 0 ? 0 : (view.selected + by + regions) % regions);
}

function listen(view) {
  const { canvas } = view;
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, moved: false };
    if (view.geometry) view.at = transform(view);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("dblclick", () => { if (view.corners) finishDrawing(view); });
  canvas.addEventListener("pointermove", (event) => {
    if (!view.geometry) return;
    if (drag) {
      const t = transform(view), ratio = canvas.width / canvas.getBoundingClientRect().width;
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      if (Math.abs(dx) + Math.abs(dy) > 3) drag.moved = true;
      if (drag.moved) {
        view.dx -= dx * ratio / t.scale; view.dy -= dy * ratio / t.scale;
        drag.x = event.clientX; drag.y = event.clientY;
        slide(view);
      }
      return;
    }
    const index = find(view, event);
    if (index !== view.hovered) { view.hovered = index; schedule(view); }
    say(view, index, event);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved && view.geometry) {
      if (view.corners) {
        const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
        addCorner(view, (event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
      } else choose(view, find(view, event));
    }
    if (drag && drag.moved && view.snapshot) settle(view);
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => { view.hovered = -1; say(view, -1); schedule(view); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(view, event.deltaY < 0 ? 1.2 : 1 / 1.2); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const far = view.geometry ? 60 / transform(view).scale : 0;
    const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
    if (moves[event.key]) { view.dx += moves[event.key][0]; view.dy += moves[event.key][1]; schedule(view); }
    else if (event.key === "+" || event.key === "=") zoom(view, 1.3);
    else if (event.key === "-") zoom(view, 1 / 1.3);
    else if (event.key === "0") { view.zoom = 1; view.dx = view.dy = 0; schedule(view); }
    else if (event.key === "d" && view.header.drawable) startDrawing(view);
    else if (view.corners && event.key === " ") addCorner(view, canvas.width / 2, canvas.height / 2);
    else if (view.corners && event.key === "Enter") finishDrawing(view);
    else if (view.corners && event.key === "Escape") startDrawing(view);
    else if (event.key === "n") step(view, 1);
    else if (event.key === "p") step(view, -1);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => { size(view); draw(view); }).observe(canvas);
}

function zoom(view, factor) { view.zoom = Math.min(Math.max(view.zoom * factor, view.header.bounds ? MIN_ZOOM : 1), MAX_ZOOM); schedule(view); }

function schedule(view) {
  if (view.pending) return;
  view.pending = true;
  requestAnimationFrame(() => { view.pending = false; draw(view); });
}

function size(view) {
  const box = view.canvas.getBoundingClientRect();
  view.canvas.width = Math.max(Math.round(box.width * devicePixelRatio), 1);
  view.canvas.height = Math.max(Math.round(box.height * devicePixelRatio), 1);
}

function layer(view) { return view.layers.find((one) => one.title === view.shown) || view.layers[0]; }

function legend(view) {
  const box = view.root.querySelector(".fieldmap-legend"), shown = layer(view);
  box.querySelector(".fieldmap-bar").style.background = `linear-gradient(to right, ${shown.ramp.join(",")})`;
  box.querySelector(".fieldmap-low").textContent = shown.low;
  box.querySelector(".fieldmap-high").textContent = shown.high;
  box.querySelector(".fieldmap-title").textContent = shown.title;
  const isHatched = shown.claimed && view.flags.some((flag) => flag & HATCHED);
  box.querySelector(".fieldmap-hatch").parentElement.style.display = isHatched ? "" : "none";
  const bar = view.root.querySelector(".fieldmap-layers");
  const titles = JSON.stringify(view.layers.map((one) => one.title));
  if (view.buttons !== titles) {  // another map has other layers, though it may have as many
    view.buttons = titles;
    bar.replaceChildren(...view.layers.map((one) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = one.title;
      button.addEventListener("click", () => show(view, one.title));
      return button;
    }));
  }
  for (const button of bar.children) button.setAttribute("aria-pressed", String(button.textContent === shown.title));
}

// The page is told of the layers that it keeps in its address, or has something more to ask of, as the date of a scene.
function show(view, title) {
  const known = (name) => (view.header.told.includes(name) ? name : "");
  const before = known(layer(view).title);
  view.shown = title;
  paint(view);
  if (known(title) !== before) view.tell("layer", known(title));
}

function tools(view) {
  const button = view.root.querySelector(".fieldmap-draw");
  button.style.display = view.header.drawable || view.header.beside ? "" : "none";
  button.style.visibility = view.header.drawable ? "" : "hidden";  // both maps of two begin at one height
  button.textContent = view.corners ? "Cancel drawing" : "Draw a field";
  button.setAttribute("aria-pressed", String(Boolean(view.corners)));
  view.root.querySelector(".fieldmap-hint").textContent = view.corners
    ? "Click the corners, double-click to close. Keys: arrows move the map under the cross, space sets a corner, Enter closes, Escape cancels."
    : "";
}

function paint(view) {
  const started = performance.now();
  view.canvas.setAttribute("aria-label", `${view.header.aria} Shown: ${layer(view).title}.`);
  legend(view);
  tools(view);
  draw(view);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    Object.assign(view.canvas.dataset, { stamp: view.header.stamp, layer: layer(view).title, paintedMs: performance.now(), drawMs: performance.now() - started });
  }));
}

export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
  let view = views.get(parentElement);
  if (!view) {
    const canvas = parentElement.querySelector("canvas");
    view = { root: parentElement, canvas, context: canvas.getContext("2d"), zoom: 1, dx: 0, dy: 0, hovered: -1, selected: -1 };
    views.set(parentElement, view);
    size(view);
    listen(view);
    parentElement.querySelector(".fieldmap-draw").addEventListener("click", () => startDrawing(view));
  }
  view.trigger = setTriggerValue;
  view.tell = setStateValue;
  const before = view.header;
  Object.assign(view, read(data instanceof Uint8Array ? data : new Uint8Array(data)));
  if (!before) view.shown = view.header.shown;
  if (before && before.map !== view.header.map) view.corners = null;  // half a field of another map
  const geometry = geometries.get(view.header.key);
  if (!geometry) { setStateValue("wanted", `${view.header.key}:${Date.now()}`); return; }
  if (!before || before.map !== view.header.map || String(before.bounds) !== String(view.header.bounds)) { view.zoom = 1; view.dx = view.dy = 0; }
  if (geometry !== view.geometry) { view.pattern = null; view.hovered = -1; say(view, -1); }
  view.geometry = geometry;
  view.selected = view.header.ids.indexOf(view.header.selected);
  paint(view);
}
