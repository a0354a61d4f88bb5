// Land, lakes, borders and names under and over the regions. A part of kind "ground" is a header, longitudes and latitudes
// f64 on a square grid (from its lower left), then for each kind of line ends u32 and xy f32 relative to the map's origin.

const LINES_FROM = 20;  // metres a pixel: Natural Earth's lines are true to 500 m, and would mislead below
const STATES_TO = 9000;  // metres a pixel

function groundOf(chunk) {
  const { header, take } = opened(chunk), { side } = header.grid, found = { ...header, paths: {} };
  found.longitudes = typed(Float64Array, take(16 * side * side));
  found.latitudes = found.longitudes.subarray(side * side);
  for (const [name, num] of Object.entries(header.lines)) {
    const ends = typed(Uint32Array, take(4 * num)), xy = typed(Float32Array, take(8 * (num ? ends[num - 1] : 0)));
    found.paths[name] = linesOf(ends, xy, name === "land" || name === "lakes");
  }
  found.longitudes = found.longitudes.slice(0, side * side);
  found.latitudes = found.latitudes.slice();
  const middle = (side >> 1) * side + (side >> 1);
  found.isMetric = header.is_metric;
  found.middle = [found.longitudes[middle], found.latitudes[middle]];
  return found;
}

function linesOf(ends, xy, isClosed) {
  const path = new Path2D();
  let start = 0;
  for (const end of ends) {
    for (let i = start; i < end; i++) {
      if (i === start) path.moveTo(xy[2 * i], -xy[2 * i + 1]); else path.lineTo(xy[2 * i], -xy[2 * i + 1]);
    }
    if (isClosed) path.closePath();
    start = end;
  }
  return path;
}

// Cubic between the four nearest samples on each axis: Lagrange's weights at -1, 0, 1, 2.
function weights(s) { return [-s * (s - 1) * (s - 2) / 6, (s + 1) * (s - 1) * (s - 2) / 2, -(s + 1) * s * (s - 2) / 2, (s + 1) * s * (s - 1) / 6]; }

// Longitude and latitude of a place, y upwards; null beyond what the map can say.
function lonlat(view, x, y) {
  const { ground } = view;
  if (!ground) return null;
  const { side, box: [left, bottom, right, top] } = ground.grid;
  const u = ((x - left) / (right - left)) * (side - 1), v = ((y - bottom) / (top - bottom)) * (side - 1);
  if (!(u >= 0 && v >= 0 && u <= side - 1 && v <= side - 1)) return null;
  const i = Math.min(Math.max(Math.floor(u), 1), side - 3), j = Math.min(Math.max(Math.floor(v), 1), side - 3);
  const across = weights(u - i), up = weights(v - j);
  let longitude = 0, latitude = 0;
  for (let b = 0; b < 4; b++) {
    for (let a = 0; a < 4; a++) {
      const at = (j + b - 1) * side + i + a - 1, weight = up[b] * across[a];
      longitude += weight * ground.longitudes[at];
      latitude += weight * ground.latitudes[at];
    }
  }
  return Number.isFinite(longitude + latitude) ? [longitude, latitude] : null;
}

// The place of a longitude and latitude, y upwards, by Newton's method from a guess (the middle of the grid unless given).
function forward(view, longitude, latitude, guess) {
  const { ground } = view, { side, box: [left, bottom, right, top] } = ground.grid;
  const h = (right - left) / side / 8;
  let [x, y] = guess || [(left + right) / 2, (bottom + top) / 2];
  for (let turn = 0; turn < 12; turn++) {
    const at = lonlat(view, x, y), east = lonlat(view, x + h, y) || null, north = lonlat(view, x, y + h) || null;
    if (!at || !east || !north) return null;
    const a = (east[0] - at[0]) / h, b = (north[0] - at[0]) / h, c = (east[1] - at[1]) / h, d = (north[1] - at[1]) / h;
    const du = longitude - at[0], dv = latitude - at[1], det = a * d - b * c;
    if (!det) return null;
    const dx = (d * du - b * dv) / det, dy = (a * dv - c * du) / det;
    x = Math.min(Math.max(x + dx, left), right - h);
    y = Math.min(Math.max(y + dy, bottom), top - h);
    if (Math.hypot(dx, dy) < h * 1e-4) return Math.hypot(dx, dy) < h ? [x, y] : null;
  }
  return null;
}

// Metres on the ground of one pixel of the page, in the middle of the window.
function metresAPixel(view, t) {
  const { canvas } = view, ratio = devicePixelRatio, [x, y] = ground(t, canvas.width / 2, canvas.height / 2);
  const far = 25 * ratio / t.scale, from = lonlat(view, x - far, y), to = lonlat(view, x + far, y);
  return from && to ? inverse(view.ground.ellipsoid, from, to).metres / 50 : NaN;
}

function drawUnder(view, t) {
  const { ground: land, theme } = view, pen = view.under.getContext("2d"), { canvas } = view;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = theme.plain;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  view.metres = metresAPixel(view, t);
  if (land && view.wants.lines && view.metres > LINES_FROM && !view.tiles) {
    pen.fillStyle = theme.sea;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(t.scale, 0, 0, t.scale, t.x, t.y);
    pen.lineWidth = 0.8 * devicePixelRatio / t.scale;
    pen.strokeStyle = theme.coast;
    pen.fillStyle = theme.land;
    pen.fill(land.paths.land, "evenodd");
    pen.stroke(land.paths.land);
    pen.fillStyle = theme.sea;
    pen.fill(land.paths.lakes, "evenodd");
    pen.stroke(land.paths.lakes);
  }
  if (view.tiles && land) drawTiles(view, pen, t);
}

function drawOver(view, t) {
  const pen = view.over.getContext("2d"), { canvas, ground: land, theme } = view, unit = devicePixelRatio / t.scale;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!land) return;
  if (view.wants.graticule) drawGraticule(view, pen, t);
  if (view.wants.lines && view.metres > LINES_FROM) {
    pen.setTransform(t.scale, 0, 0, t.scale, t.x, t.y);
    pen.lineJoin = "round";
    const borders = [["countries", 1.3, theme.strong]];
    if (view.metres < STATES_TO) borders.unshift(["states", 0.8, theme.strong]);
    for (const [name, width] of borders) {
      pen.strokeStyle = theme.casing;
      pen.lineWidth = (width + 1.6) * unit;
      pen.stroke(land.paths[name]);
    }
    for (const [name, width, colour] of borders) {
      pen.strokeStyle = colour;
      pen.lineWidth = width * unit;
      pen.stroke(land.paths[name]);
    }
  }
  if (view.wants.names) drawNames(view, pen, t);
}

// Lines at round degrees, a hundred pixels or so apart; labels where they meet the lower and the right edge.
function drawGraticule(view, pen, t) {
  const { canvas, theme } = view, ratio = devicePixelRatio, corners = [];
  for (const px of [0, 0.25, 0.5, 0.75, 1]) {
    for (const py of [0, 0.25, 0.5, 0.75, 1]) {
      const at = lonlat(view, ...ground(t, px * canvas.width, py * canvas.height));
      if (at) corners.push(at);
    }
  }
  if (corners.length < 9) return;
  const [west, east] = ends(corners.map(([longitude]) => longitude)), [south, north] = ends(corners.map(([, latitude]) => latitude));
  const step = roundStep((110 * ratio * (north - south)) / canvas.height);
  if (!Number.isFinite(step) || (east - west) / step > 80) return;
  pen.strokeStyle = theme.graticule;
  pen.fillStyle = theme.faint;
  pen.lineWidth = ratio;
  pen.font = `${10 * ratio}px ${view.font}`;
  pen.textBaseline = "alphabetic";  // names were written otherwise
  const digits = Math.max(0, Math.ceil(-Math.log10(step)));
  for (let k = Math.ceil(west / step); k * step <= east; k++) strokeLine(view, pen, t, (s) => [k * step, south + s * (north - south)], meridianWords(k * step, digits), false);
  for (let k = Math.ceil(south / step); k * step <= north; k++) strokeLine(view, pen, t, (s) => [west + s * (east - west), k * step], parallelWords(k * step, digits), true);
}

function ends(values) { return [Math.min(...values), Math.max(...values)]; }

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((one) => one * power >= least);
}

function meridianWords(degrees, digits) {
  const turned = ((degrees + 540) % 360) - 180;
  return `${Math.abs(turned).toFixed(digits)}\u00b0${turned < -1e-9 ? "W" : turned > 1e-9 ? "E" : ""}`;
}

function parallelWords(degrees, digits) { return `${Math.abs(degrees).toFixed(digits)}\u00b0${degrees < -1e-9 ? "S" : degrees > 1e-9 ? "N" : ""}`; }

function strokeLine(view, pen, t, at, label, isParallel) {
  const { canvas } = view, ratio = devicePixelRatio;
  let guess = null, last = null, isLabelled = false;
  pen.beginPath();
  for (let k = 0; k <= 16; k++) {
    const place = forward(view, ...at(k / 16), guess);
    if (!place) { guess = last = null; continue; }
    guess = place;
    const px = place[0] * t.scale + t.x, py = -place[1] * t.scale + t.y;
    if (last) pen.lineTo(px, py); else pen.moveTo(px, py);
    if (last && !isLabelled) {
      const edge = isParallel ? canvas.width - 2 * ratio : canvas.height - 3 * ratio, axis = isParallel ? 0 : 1, now = [px, py];
      if ((last[axis] - edge) * (now[axis] - edge) <= 0 && last[axis] !== now[axis]) {
        const share = (edge - last[axis]) / (now[axis] - last[axis]), x = last[0] + share * (px - last[0]), y = last[1] + share * (py - last[1]);
        isLabelled = true;
        pen.textAlign = isParallel ? "right" : "left";
        pen.fillText(label, x + (isParallel ? 0 : 3 * ratio), y - (isParallel ? 3 * ratio : 0));
      }
    }
    last = [px, py];
  }
  pen.stroke();
}

const FONTS = { country: "600 13px", state: "600 11px", place: "11px", region: "12px" };
const widths = new Map();

function widthOf(pen, text) {
  const key = pen.font + text;
  if (!widths.has(key)) widths.set(key, pen.measureText(text).width);
  return widths.get(key);
}

function fontOf(view, kind) { return FONTS[kind].replace(/[\d.]+px/, (size) => `${parseFloat(size) * devicePixelRatio}px`) + ` ${view.font}`; }

// The most important first, each where there is room; an area's name only while the area is in sight and larger than it.
function drawNames(view, pen, t) {
  const { canvas, theme } = view, ratio = devicePixelRatio, taken = [];
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 3 * ratio;
  pen.strokeStyle = theme.halo;
  const side = Math.min(canvas.width, canvas.height) / ratio;
  let left = Math.ceil((canvas.width * canvas.height) / (ratio * ratio * 250 * 170));
  const write = (kind, text, px, py) => {
    pen.font = fontOf(view, kind);
    const half = widthOf(pen, text) / 2, box = [px - half - 3 * ratio, py - 9 * ratio, px + half + 3 * ratio, py + 9 * ratio];
    if (box[0] < 0 || box[1] < 0 || box[2] > canvas.width || box[3] > canvas.height) return false;
    if (taken.some((one) => one[0] < box[2] && one[2] > box[0] && one[1] < box[3] && one[3] > box[1])) return false;
    taken.push(box);
    pen.fillStyle = kind === "state" ? theme.quiet : theme.name;
    pen.strokeText(text, px, py);
    pen.fillText(text, px, py);
    return true;
  };
  writeRegions(view, t, write);
  for (const [kind, text, x, y, km] of view.ground.names) {
    const px = x * t.scale + t.x, py = -y * t.scale + t.y;
    if (px < 0 || py < 0 || px > canvas.width || py > canvas.height) continue;
    if (kind === "place") {
      if (!left) break;
      if (!write(kind, text, px, py - 9 * ratio)) continue;
      left--;
      pen.beginPath();
      pen.arc(px, py, 2 * ratio, 0, 2 * Math.PI);
      pen.stroke();
      pen.fill();
      continue;
    }
    const size = (1000 * km) / view.metres;
    if (size > (kind === "country" ? 110 : 60) && size < (kind === "country" ? 0.6 : 1.2) * side) write(kind, text, px, py);
  }
}

function writeRegions(view, t, write) {
  const { shapes, header } = view, ratio = devicePixelRatio, isRoomy = shapes.width * t.scale > 60 * ratio;
  if (!header.names.length || !(isRoomy || shapes.places.size)) return;
  for (let i = 0; i < shapes.regions; i++) {
    const [left, top, right, bottom] = shapes.boxes[i], above = shapes.places.has(i) ? (PLACE_PX + 8) * ratio : 0;
    const px = ((left + right) / 2) * t.scale + t.x, py = ((top + bottom) / 2) * t.scale + t.y - above;
    if (px > 0 && py > 0 && px < view.canvas.width && py < view.canvas.height) write("region", header.names[i], px, py);
  }
}

// A round length of 60 to 150 pixels.
function scaleWords(view) {
  if (!(view.metres > 0)) return null;
  const metres = roundStep(60 * view.metres);
  return { pixels: metres / view.metres, text: metres >= 1000 ? `${metres / 1000} km` : `${metres} m` };
}

function placeWords(view, x, y) {
  const at = lonlat(view, x, y);
  if (!at) return "";
  const digits = view.metres > 500 ? 2 : view.metres > 50 ? 3 : 5;
  return `${parallelWords(at[1], digits)} ${meridianWords(at[0], digits)}`;
}
