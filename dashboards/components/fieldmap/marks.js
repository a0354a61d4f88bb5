// What lies over all: the region under the pointer and the chosen one, what is drawn or measured by hand, and the cross
// that keys draw with.

function drawMarks(view, t) {
  const { canvas, shapes, theme } = view, pen = view.marks.getContext("2d"), unit = devicePixelRatio / t.scale;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(t.scale, 0, 0, t.scale, t.x, t.y);
  pen.lineJoin = "round";
  for (const [index, width, colour] of [[view.hovered, 2, theme.mark], [view.selected, 3, theme.chosen]]) {
    if (index < 0 || index >= shapes.regions) continue;
    let path = shapes.paths[index];
    if (shapes.places.has(index)) {
      path = new Path2D();
      path.arc(shapes.boxes[index][0], shapes.boxes[index][1], (PLACE_PX + 2) * unit, 0, 2 * Math.PI);
    }
    for (const [wide, tint] of [[width + 2, theme.rim], [width, colour]]) {
      pen.lineWidth = wide * unit;
      pen.strokeStyle = tint;
      pen.stroke(path);
    }
  }
  if (view.corners) drawCorners(view, pen, t, unit);
  if (view.corners || view.isByKeys) drawCross(view, pen);
}

function drawCorners(view, pen, t, unit) {
  const { corners, theme } = view, [ox, oy] = view.header.origin, points = corners.map(([x, y]) => [x - ox, oy - y]);
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  if (view.isMeasured && points.length > 2) pen.closePath();
  for (const [wide, tint] of [[4, theme.rim], [2, theme.chosen]]) {
    pen.lineWidth = wide * unit;
    pen.strokeStyle = tint;
    pen.stroke();
  }
  pen.fillStyle = theme.chosen;
  for (const [x, y] of points) pen.fillRect(x - 3 * unit, y - 3 * unit, 6 * unit, 6 * unit);
}

function drawCross(view, pen) {
  const { canvas, theme } = view, ratio = devicePixelRatio, x = canvas.width / 2, y = canvas.height / 2;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.beginPath();
  pen.moveTo(x - 9 * ratio, y); pen.lineTo(x + 9 * ratio, y);
  pen.moveTo(x, y - 9 * ratio); pen.lineTo(x, y + 9 * ratio);
  for (const [wide, tint] of [[3, theme.rim], [1, theme.mark]]) {
    pen.lineWidth = wide * ratio;
    pen.strokeStyle = tint;
    pen.stroke();
  }
}

// Begin to draw a field or to measure, or leave it; corners are [x, y] of the map's CRS.
function startHand(view, mode) {
  const isLeaving = view.mode === mode;
  Object.assign(view, { mode: isLeaving ? "" : mode, corners: isLeaving ? null : [], isMeasured: false, asked: 0 });
  clearTimeout(view.noting);
  view.canvas.focus();
  tools(view);
  schedule(view, "marks");
}

// Begin to draw what the page asks for, once; what it asked before this map was opened is past.
function answerPage(view, before) {
  const asked = view.header.drawing[1], isNew = before && asked && asked !== view.answered;
  view.answered = asked;
  if (!isNew) return;
  if (view.mode === "draw") view.mode = "";
  startHand(view, "draw");
  view.asked = asked;
  tools(view);
  announce(view, `${view.header.drawing[0]}: ${view.root.querySelector(".fieldmap-hint").textContent}`);
}

function addCorner(view, px, py) {
  if (view.isMeasured) Object.assign(view, { corners: [], isMeasured: false });
  const [x, y] = ground(transform(view), px, py), [ox, oy] = view.header.origin, corner = [x + ox, y + oy], last = view.corners.at(-1);
  const least = view.ground && !view.ground.isMetric ? 5e-6 : 0.5;
  if (!last || Math.hypot(corner[0] - last[0], corner[1] - last[1]) > least) view.corners.push(corner);
  tools(view);
  schedule(view, "marks");
}

function dropCorner(view) {
  view.corners.pop();
  view.isMeasured = false;
  tools(view);
  schedule(view, "marks");
}

function finishHand(view) {
  if (view.mode === "draw") {
    const { corners, asked } = view, naming = view.root.querySelector(".fieldmap-naming input");
    if (corners.length >= 3) {
      view.trigger("drawn", JSON.stringify({ map: view.header.map, asked: asked || 0, name: asked ? "" : naming.value, corners }));
      naming.value = "";
    }
    Object.assign(view, { mode: "", corners: null, asked: 0 });
  } else {
    view.isMeasured = true;
    announce(view, handWords(view));
  }
  tools(view);
  schedule(view, "marks");
}

// Length, and area once there are three corners, of what is drawn or measured.
function handWords(view) {
  if (!view.corners || !view.ground) return "";
  const [ox, oy] = view.header.origin, places = view.corners.map(([x, y]) => lonlat(view, x - ox, y - oy));
  if (places.length < 2 || !places.every(Boolean)) return "";
  const { ellipsoid } = view.ground, metres = lengthOf(ellipsoid, places, false);
  if (places.length < 3) return `Length ${lengthWords(metres)}`;
  return `Length ${lengthWords(metres)}; closed ${lengthWords(lengthOf(ellipsoid, places, true))} around ${areaWords(areaOf(ellipsoid, places))}`;
}
