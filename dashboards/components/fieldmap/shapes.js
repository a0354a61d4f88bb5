// The regions: paths, boxes and how they are filled. A part of kind "shapes" is a header {polygons, regions, rings}, ring ends
// u32, polygon of each ring u32 and xy f32, relative to the map's origin, y upwards; a ring of one vertex is a place alone.

const SMALL_PX = 5;  // regions smaller than this, on average, are drawn without borders
const FEW_ZOOM = 4;  // from here on only the regions in sight are drawn, one by one
const HATCH_PX = 9;  // between the lines over a region whose claim is withheld
const PLACE_PX = 6.5;  // radius of a region that is known by its place alone

function shapesOf(chunk) {
  const { header, take } = opened(chunk), { polygons, regions, rings } = header;
  const ends = typed(Uint32Array, take(4 * rings)), owners = typed(Uint32Array, take(4 * rings));
  const xy = typed(Float32Array, take(8 * (rings ? ends[rings - 1] : 0)));
  const paths = Array.from({ length: polygons }, () => new Path2D());
  const boxes = Array.from({ length: polygons }, () => [Infinity, Infinity, -Infinity, -Infinity]);
  const bounds = [Infinity, Infinity, -Infinity, -Infinity], places = [];
  let start = 0;
  for (let ring = 0; ring < rings; ring++) {
    const owner = owners[ring], path = paths[owner], box = boxes[owner];
    for (let i = start; i < ends[ring]; i++) {
      const x = xy[2 * i], y = -xy[2 * i + 1];
      if (i === start) path.moveTo(x, y); else path.lineTo(x, y);
      widen(box, x, y);
      if (owner < regions || !regions) widen(bounds, x, y);  // the view opens on the regions
    }
    if (ends[ring] === start + 1 && owner < regions) places.push(owner);
    path.closePath();
    start = ends[ring];
  }
  const lines = new Path2D(), around = new Path2D();
  let width = 0;
  for (let i = 0; i < polygons; i++) {
    (i < regions ? lines : around).addPath(paths[i]);
    if (i < regions) width += (boxes[i][2] - boxes[i][0]) / regions;
  }
  return { paths, boxes, bounds: opensOn(bounds), lines, around, width, regions, places: new Set(places) };
}

function widen(box, x, y) { box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y); box[2] = Math.max(box[2], x); box[3] = Math.max(box[3], y); }

// A single place, or places in one row, still need a box to look at.
function opensOn([left, top, right, bottom]) {
  if (!Number.isFinite(left)) return [-1, -1, 1, 1];
  const least = Math.max(right - left, bottom - top, 1e-3) / 10;
  const x = Math.max(least - (right - left), 0) / 2, y = Math.max(least - (bottom - top), 0) / 2;
  return [left - x, top - y, right + x, bottom + y];
}

function joined(paths) {
  const path = new Path2D();
  for (const one of paths) path.addPath(one);
  return path;
}

// Regions of one colour are one path: a few hundred fills in place of twenty thousand.
function groups(view, shown, colours) {
  if (shown.groups && shown.groupsOf === view.shapes && shown.groupsBy === colours) return shown.groups;
  const found = new Map(), { paths, regions } = view.shapes;
  for (let i = 0; i < regions; i++) {
    const key = ((colours[4 * i] & 0xfc) << 16) | ((colours[4 * i + 1] & 0xfc) << 8) | (colours[4 * i + 2] & 0xfc);
    let path = found.get(key);
    if (!path) found.set(key, path = new Path2D());
    path.addPath(paths[i]);
  }
  Object.assign(shown, { groups: found, groupsOf: view.shapes, groupsBy: colours });
  return found;
}

function inSight(view, t) {
  const { shapes, canvas } = view, found = [];
  for (let i = 0; i < shapes.regions; i++) {
    const box = shapes.boxes[i];
    if (box[2] * t.scale + t.x < 0 || box[0] * t.scale + t.x > canvas.width || box[3] * t.scale + t.y < 0 || box[1] * t.scale + t.y > canvas.height) continue;
    found.push(i);
  }
  return found;
}

// Thin lines in whole pixels, a dark one beside a light one: seen on every fill, and more than three quarters of it stay as they are.
function hatch(context) {
  const wide = Math.max(Math.round(devicePixelRatio), 1), side = HATCH_PX * wide, tile = document.createElement("canvas");
  tile.width = tile.height = side;
  const pen = tile.getContext("2d");
  for (const [colour, shift] of [["#ffffff", 0], ["#000000", wide]]) {
    pen.fillStyle = colour;
    for (let y = 0; y < side; y++) for (let x = 0; x < wide; x++) pen.fillRect((2 * side - y + shift + x) % side, y, 1, 1);
  }
  return context.createPattern(tile, "repeat");
}

function fillRegions(view, t, shown) {
  const { context, shapes } = view, colours = coloursOf(view, shown), empty = view.theme.empty;
  const paint = (r, g, b) => (r === 240 && g === 240 && b === 240 ? empty : `rgb(${r} ${g} ${b})`);
  if (view.zoom < FEW_ZOOM) {
    for (const [key, path] of groups(view, shown, colours)) {
      context.fillStyle = paint(key >> 16, (key >> 8) & 0xff, key & 0xff);
      context.fill(path);
    }
  } else {
    for (const i of view.sight) {
      context.fillStyle = paint(colours[4 * i], colours[4 * i + 1], colours[4 * i + 2]);
      context.fill(shapes.paths[i]);
    }
  }
  for (const i of view.shapes.places) {
    context.fillStyle = paint(colours[4 * i], colours[4 * i + 1], colours[4 * i + 2]);
    context.strokeStyle = view.theme.name;
    context.beginPath();
    context.arc(shapes.boxes[i][0], shapes.boxes[i][1], PLACE_PX * devicePixelRatio / t.scale, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

function hatchRegions(view, t, pen) {
  const { shapes, flags } = view;
  if (view.hatchedBy !== flags || view.hatchedOf !== shapes) {
    const hatched = [];
    for (let i = 0; i < shapes.regions; i++) if (flags[i] & HATCHED) hatched.push(i);
    Object.assign(view, { hatchedBy: flags, hatchedOf: shapes, hatched, hatchedPath: joined(hatched.map((i) => shapes.paths[i])) });
  }
  if (!view.hatched.length) return;
  view.pattern ||= hatch(pen);
  view.pattern.setTransform(new DOMMatrix().scale(1 / t.scale));
  pen.fillStyle = view.pattern;
  pen.fill(view.zoom < FEW_ZOOM ? view.hatchedPath : joined(view.sight.filter((i) => flags[i] & HATCHED).map((i) => shapes.paths[i])));
  for (const i of view.hatched) {
    if (!shapes.places.has(i)) continue;
    pen.beginPath();
    pen.arc(shapes.boxes[i][0], shapes.boxes[i][1], PLACE_PX * devicePixelRatio / t.scale, 0, 2 * Math.PI);
    pen.fill();
  }
}

// Borders and hatch cost more than all the colours, and change only with the view: other colours go under a copy of them.
function edgesOf(view, t, shown) {
  const { canvas, shapes, flags, theme } = view, kind = JSON.stringify([t, canvas.width, canvas.height, shown.claimed, !shown.raster]);
  const former = view.edges;
  if (former && former.kind === kind && former.shapes === shapes && former.flags === flags && former.theme === theme) return former.picture;
  const picture = former ? former.picture : document.createElement("canvas"), pen = picture.getContext("2d");
  Object.assign(picture, { width: canvas.width, height: canvas.height });  // it is empty again
  pen.imageSmoothingEnabled = false;  // the hatch is not smoothed into a tint
  pen.setTransform(t.scale, 0, 0, t.scale, t.x, t.y);
  pen.lineWidth = 0.5 * devicePixelRatio / t.scale;
  pen.strokeStyle = shown.raster ? theme.strong : theme.border;
  if (shapes.width * t.scale > SMALL_PX) pen.stroke(view.zoom < FEW_ZOOM ? shapes.lines : joined(view.sight.map((i) => shapes.paths[i])));
  if (shown.claimed) hatchRegions(view, t, pen);
  view.edges = { kind, shapes, flags, theme, picture };
  return picture;
}

function drawRegions(view, t) {
  const { canvas, context, shapes } = view, shown = layer(view);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;  // pixels stay sharp
  context.setTransform(t.scale, 0, 0, t.scale, t.x, t.y);
  context.lineWidth = 0.5 * devicePixelRatio / t.scale;
  context.strokeStyle = view.theme.border;
  if (view.zoom >= FEW_ZOOM) view.sight = inSight(view, t);
  if (shapes.paths.length > shapes.regions) {
    context.fillStyle = view.theme.around;
    context.fill(shapes.around);
    context.stroke(shapes.around);
  }
  if (shown.raster) {
    const [left, bottom, right, top] = shown.raster.bounds;
    context.drawImage(pictureOf(view, shown), left, -top, right - left, top - bottom);
  } else fillRegions(view, t, shown);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(edgesOf(view, t, shown), 0, 0);
}

function find(view, px, py) {
  const { context, shapes } = view, t = transform(view), x = (px - t.x) / t.scale, y = (py - t.y) / t.scale;
  let nearest = -1, least = (PLACE_PX + 3) * devicePixelRatio / t.scale;
  for (const i of shapes.places) {
    const far = Math.hypot(shapes.boxes[i][0] - x, shapes.boxes[i][1] - y);
    if (far < least) { least = far; nearest = i; }
  }
  if (nearest >= 0) return nearest;
  context.setTransform(1, 0, 0, 1, 0, 0);
  for (let i = 0; i < shapes.regions; i++) {
    const b = shapes.boxes[i];
    if (x >= b[0] && x <= b[2] && y >= b[1] && y <= b[3] && context.isPointInPath(shapes.paths[i], x, y)) return i;
  }
  return -1;
}
