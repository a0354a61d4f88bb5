// From stored pixels to the canvas: window, overlays, orientation letters, scale bar.

const MASK_COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7"];  // Okabe & Ito 2008
const GOLDEN_DEGREES = 137.508;  // between hues that come after those
const OUTLINE_PX = 2;
const HEAT_COLOURS = ["#0d0887", "#7d03a8", "#cb4679", "#f89441", "#f0f921"];  // plasma
const PANEL_PX = 334;  // that the panel covers
const LIGHT = "#f2f5f2";

// Grey of every stored value (PS3.3 C.11.2.1.1, a table of the file's; C.11.2.1.2, linear; of values that are no whole
// numbers C.11.2.1.3.2, exact).
function greys(view, one) {
  const { inverted, exact, windows } = view.volume.header, { width, level, name: chosen } = view.window;
  const name = [one.kind, one.slope, one.intercept, width, level, chosen, inverted].join();
  if (view.greysOf === name) return view.greys;
  const num = one.kind === "u1" ? 256 : 65536, table = new Uint32Array(num);
  const curve = windows.find((each) => each.name === chosen)?.greys || [], first = level - width / 2;
  const middle = exact ? level : level - 0.5, span = exact ? width : Math.max(width - 1, 1e-6);
  for (let bits = 0; bits < num; bits++) {
    const stored = one.kind === "i2" ? (bits << 16) >> 16 : bits;
    const value = one.slope * stored + one.intercept, at = Math.min(Math.max(Math.floor(value - first), 0), curve.length - 1);
    const share = curve.length ? curve[at] / 255 : (value - middle) / span + 0.5;
    const grey = Math.round(255 * Math.min(Math.max(inverted ? 1 - share : share, 0), 1));
    table[bits] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  view.greysOf = name;
  view.greys = table;
  return table;
}

function renderSlice(view) {
  const { header, slices } = view.volume, one = slices[view.slice];
  if (!one) return false;
  const name = [header.key, view.slice, view.window.width, view.window.level, view.window.name].join();
  if (view.rendered === name) return true;
  if (view.plane.width !== header.columns || view.plane.height !== header.rows || !view.image) {
    view.plane.width = header.columns;
    view.plane.height = header.rows;
    view.image = view.plane.getContext("2d").createImageData(header.columns, header.rows);
  }
  const out = new Uint32Array(view.image.data.buffer), data = one.data;
  if (one.colour) for (let i = 0; i < out.length; i++) out[i] = 0xff000000 | (data[3 * i + 2] << 16) | (data[3 * i + 1] << 8) | data[3 * i];
  else { const table = greys(view, one); for (let i = 0; i < out.length; i++) out[i] = table[data[i]]; }
  view.plane.getContext("2d").putImageData(view.image, 0, 0);
  view.rendered = name;
  return true;
}

function rgb(text) { return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)); }

// The colour of a structure: its file's own, else another for each of all overlays of a picture: the named ones, then hues far apart in turn.
function colourOf({ overlays }, overlay, index) {
  if (overlay.colours[index]) return overlay.colours[index];
  const before = overlays.slice(0, overlays.indexOf(overlay)).reduce((sum, { names }) => sum + names.length, 0), num = before + index;
  if (num < MASK_COLOURS.length) return MASK_COLOURS[num];
  const light = [0.65, 0.5, 0.8][num % 3], spread = Math.min(light, 1 - light);
  const part = (turn) => { const at = (turn + (num * GOLDEN_DEGREES) / 30) % 12; return light - spread * Math.max(-1, Math.min(at - 3, 9 - at, 1)); };
  return `#${[0, 8, 4].map((turn) => Math.round(255 * part(turn)).toString(16).padStart(2, "0")).join("")}`;
}

// Colours of a plane's values; of a heatmap paler where it is low, of structures that are off none.
function colouring(header, overlay, off) {
  const { names } = overlay;
  const table = new Uint32Array(256);
  for (let value = 1; value < 256; value++) {
    const at = (value / 255) * (HEAT_COLOURS.length - 1), low = Math.min(Math.floor(at), HEAT_COLOURS.length - 2);
    const [from, to] = [rgb(HEAT_COLOURS[low]), rgb(HEAT_COLOURS[low + 1])];
    const [r, g, b] = names.length ? rgb(colourOf(header, overlay, value - 1)) : from.map((part, i) => part + (at - low) * (to[i] - part));
    table[value] = ((!names.length ? value : off.has(value) ? 0 : 255) << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

function heldOf(view, overlay) {
  const one = view.volume.planes.get(overlay.key)?.get(view.slice);
  return one?.box[2] ? one : null;
}

function planeOf(view, overlay) {
  const one = heldOf(view, overlay);
  if (!one) return null;
  const { off } = view.shown.get(overlay.key), drawn = [...off].join();
  if (one.drawn !== drawn) {
    const table = colouring(view.volume.header, overlay, off);
    one.drawn = drawn;
    one.canvas = document.createElement("canvas");
    [one.canvas.width, one.canvas.height] = [one.box[2], one.box[3]];
    const pen = one.canvas.getContext("2d"), image = pen.createImageData(one.box[2], one.box[3]);
    const out = new Uint32Array(image.data.buffer);
    for (let i = 0; i < out.length; i++) out[i] = table[one.data[i]];
    pen.putImageData(image, 0, 0);
  }
  return one;
}

// Of each structure on a slice the sides of pixels between it and what it is not, as one path in pixels.
function outlines(one) {
  const [left, top, width, height] = one.box, paths = new Map();
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : one.data[y * width + x]);
  const line = (value, from, to) => {
    if (!value) return;
    if (!paths.has(value)) paths.set(value, new Path2D());
    paths.get(value).moveTo(left + from[0], top + from[1]);
    paths.get(value).lineTo(left + to[0], top + to[1]);
  };
  const sides = (long, wide, pair, point) => {
    for (let row = 0; row <= wide; row++) {
      for (let x = 0, from = 0; x < long; from = x) {
        const [before, behind] = pair(x, row);
        do x++; while (x < long && pair(x, row)[0] === before && pair(x, row)[1] === behind);
        if (before !== behind) for (const value of [before, behind]) line(value, point(from, row), point(x, row));
      }
    }
  };
  sides(width, height, (x, y) => [at(x, y - 1), at(x, y)], (x, y) => [x, y]);
  sides(height, width, (y, x) => [at(x - 1, y), at(x, y)], (y, x) => [x, y]);
  return paths;
}

// What the study's own files mark hides nothing of the picture.
function drawOutlines(view, overlay, one, at) {
  const { off } = view.shown.get(overlay.key), onScreen = new DOMMatrix([at.x, 0, 0, at.y, at.left, at.top]), { pen } = view;
  one.outlines ||= outlines(one);
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.lineWidth = OUTLINE_PX * devicePixelRatio;
  for (const [value, path] of one.outlines) {
    if (off.has(value)) continue;
    const moved = new Path2D();
    moved.addPath(path, onScreen);
    pen.strokeStyle = colourOf(view.volume.header, overlay, value - 1);
    pen.stroke(moved);
  }
  pen.setTransform(onScreen);
}

// Where the slice lies on the canvas: device pixels of a column and a row, and of the upper left corner.
function place(view) {
  const { canvas, volume, zoom, pan } = view, { rows, columns, spacing } = volume.header;
  const ratio = devicePixelRatio, covered = view.isNarrow || view.isFolded || !volume.header.panel.title ? 0 : PANEL_PX * ratio;
  const free = Math.max(canvas.width - covered, 1), tall = spacing ? spacing[0] / spacing[1] : 1;
  const x = zoom * Math.min(free / columns, canvas.height / (rows * tall)), y = x * tall;
  return { x, y, left: (free - x * columns) / 2 + pan.x * ratio, top: (canvas.height - y * rows) / 2 + pan.y * ratio };
}

function draw(view) {
  const { canvas, pen, volume } = view;
  if (!volume || !canvas.width) return;
  const started = performance.now(), isHere = renderSlice(view), at = place(view);
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (isHere) {
    pen.setTransform(at.x, 0, 0, at.y, at.left, at.top);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(view.plane, 0, 0);
    pen.imageSmoothingEnabled = false;
    for (const overlay of volume.header.overlays) {
      const shown = view.shown.get(overlay.key), one = !shown.on ? null : overlay.kind === "contours" ? heldOf(view, overlay) : planeOf(view, overlay);
      if (!one) continue;
      view.seen.add(overlay.kind);
      pen.globalAlpha = shown.opacity;
      if (overlay.kind === "contours") drawOutlines(view, overlay, one, at);
      else pen.drawImage(one.canvas, one.box[0], one.box[1]);
    }
    pen.globalAlpha = 1;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    drawMeasures(view, at);
  }
  drawMarks(view, at);
  view.wait.hidden = isHere;
  if (!isHere) view.wait.textContent = `Slice ${view.slice + 1} is on its way`;
  tell(view);
  view.drawMs = performance.now() - started;
  canvas.dataset.seen = Number(isHere);
  canvas.dataset.drawn = Number(canvas.dataset.drawn || 0) + 1;
}

function write(view, text, x, y, align) {
  const { pen } = view;
  pen.textAlign = align;
  pen.lineWidth = 3 * devicePixelRatio;
  pen.strokeStyle = "rgba(0,0,0,0.8)";
  pen.strokeText(text, x, y);
  pen.fillText(text, x, y);
}

function drawMarks(view, at) {
  const { pen, canvas, volume } = view, ratio = devicePixelRatio, { columns, rows, edges, spacing } = volume.header;
  const inside = (value, most) => Math.min(Math.max(value, 16 * ratio), most - 16 * ratio);
  const left = Math.max(at.left, 0), right = Math.min(at.left + at.x * columns, canvas.width - (canvas.width > 2 * PANEL_PX * ratio && !view.isFolded && !view.isNarrow ? PANEL_PX * ratio : 0));
  const top = Math.max(at.top, 0), bottom = Math.min(at.top + at.y * rows, canvas.height);
  const middle = [inside((left + right) / 2, canvas.width), inside((top + bottom) / 2, canvas.height)];
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.font = `600 ${15 * ratio}px sans-serif`;
  pen.fillStyle = "#ffe08a";
  pen.textBaseline = "middle";
  for (const [name, x, y] of [["left", left + 12 * ratio, middle[1]], ["right", right - 12 * ratio, middle[1]], ["top", middle[0], Math.max(top, view.barPx * ratio) + 14 * ratio], ["bottom", middle[0], bottom - 12 * ratio]]) {
    if (edges[name]) write(view, edges[name], x, y, name === "left" ? "left" : name === "right" ? "right" : "center");
  }
  if (!spacing) return;
  const mm = [1, 2, 5, 10, 20, 50, 100, 200].findLast((one) => (one / spacing[1]) * at.x < canvas.width / 4) || 1;
  const length = (mm / spacing[1]) * at.x, x = 14 * ratio, y = canvas.height - 14 * ratio;
  pen.fillStyle = LIGHT;
  pen.fillRect(x, y, length, 2 * ratio);
  pen.fillRect(x, y - 5 * ratio, 2 * ratio, 7 * ratio);
  pen.fillRect(x + length - 2 * ratio, y - 5 * ratio, 2 * ratio, 7 * ratio);
  pen.font = `${13 * ratio}px sans-serif`;
  write(view, `${mm} mm`, x + length / 2, y - 11 * ratio, "center");
}

function schedule(view) {
  if (view.pending) return;
  view.pending = true;
  requestAnimationFrame(() => { view.pending = false; draw(view); });
}
