// The attitude at the cursor: a body over a disc of ground whose N points north, its forward and upward axes with the
// cones within which they lie at 90 %, and the same axes as the classical filter and the reference have them.

const AZIMUTH = 0.45, ELEVATION = 0.5;  // rad, of the eye: from the south, a little from the west, above
const SIDES = [0.62, 0.36, 0.13];  // half lengths of the body along its axes
const RING = 40;

function turned([w, x, y, z], [a, b, c]) {
  const t = [2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)];
  return [a + w * t[0] + y * t[2] - z * t[1], b + w * t[1] + z * t[0] - x * t[2], c + w * t[2] + x * t[1] - y * t[0]];
}

function eye() {
  const [ca, sa, ce, se] = [Math.cos(AZIMUTH), Math.sin(AZIMUTH), Math.cos(ELEVATION), Math.sin(ELEVATION)];
  const right = [ca, -sa, 0], ahead = [sa * ce, ca * ce, -se], up = [sa * se, ca * se, ce];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  return (v) => [dot(v, right), dot(v, up), dot(v, ahead)];
}

function ringAround(axis, angle, length) {
  const aside = Math.abs(axis[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const unit = (v) => { const l = Math.hypot(...v); return v.map((part) => part / l); };
  const u = unit(cross(axis, aside)), v = cross(axis, u);
  return Array.from({ length: RING }, (_, k) => {
    const phi = (2 * Math.PI * k) / RING, c = Math.cos(angle), s = Math.sin(angle);
    return axis.map((part, i) => length * (c * part + s * (Math.cos(phi) * u[i] + Math.sin(phi) * v[i])));
  });
}

function drawBody(pen, view, spot) {
  const see = eye(), scale = Math.min(spot.w, spot.h) * 0.42, cx = spot.x + spot.w / 2, cy = spot.y + spot.h * 0.54;
  const at = (v) => { const [x, y] = see(v); return [cx + scale * x, cy - scale * y]; };
  const path = (points, isClosed) => {
    pen.beginPath();
    points.forEach((v, k) => (k ? pen.lineTo(...at(v)) : pen.moveTo(...at(v))));
    if (isClosed) pen.closePath();
  };
  ground(pen, at, path);
  const shown = view.scene.tracks.map((one) => ({ one, quat: quatAt(one, view.cursor) })).filter(({ quat }) => quat);
  const main = shown.find(({ one }) => one.style === "estimate") || shown.find(({ one }) => one.style === "classical") || shown[0];
  if (!main) { words(pen, "no attitude here", cx, cy, { align: "center" }); return; }
  solid(pen, see, at, main.quat);
  const radius = main.one.radius ? (valueAt(main.one, main.one.radius, view.cursor) * Math.PI) / 180 : NaN;
  if (radius > 0) for (const axis of [[1, 0, 0], [0, 0, 1]]) cone(pen, path, turned(main.quat, axis), Math.min(radius, Math.PI / 2));
  if (radius >= Math.PI / 2) words(pen, "90 %: any direction", cx, spot.y + spot.h - 22, { align: "center", weight: 600, colour: tone.accused });
  for (const { one, quat } of shown) for (const [axis, letter] of [[[1, 0, 0], "forward"], [[0, 0, 1], "up"]]) {
    const tip = turned(quat, axis), [x, y] = at(tip.map((part) => 1.02 * part)), [fromX, fromY] = at([0, 0, 0]);
    stroke(pen, one.style, fromX, fromY, x, y);
    pen.fillStyle = tone.styles[one.style];
    pen.beginPath();
    pen.arc(x, y, one === main.one ? 4 : 3, 0, 7);
    pen.fill();
    if (one === main.one) words(pen, letter, x + 7, y - 7, { size: 11 });
  }
  shown.forEach(({ one }, k) => {
    const y = spot.y + 12 + 15 * k;
    stroke(pen, one.style, spot.x + 4, y, spot.x + 28, y);
    words(pen, one.name, spot.x + 33, y, { size: 11 });
  });
}

function ground(pen, at, path) {
  path(Array.from({ length: 60 }, (_, k) => [1.15 * Math.cos(k * Math.PI / 30), 1.15 * Math.sin(k * Math.PI / 30), -0.45]), true);
  pen.fillStyle = tone.disc;
  pen.fill();
  pen.lineWidth = 1;
  pen.strokeStyle = tone.rim;
  pen.stroke();
  for (const [letter, v] of [["N", [0, 1, 0]], ["E", [1, 0, 0]]]) {
    path([[0, 0, -0.45], [v[0], v[1], -0.45]]);
    pen.stroke();
    words(pen, letter, ...at([1.27 * v[0], 1.27 * v[1], -0.45]), { size: 11, align: "center", colour: tone.quiet });
  }
}

function solid(pen, see, at, quat) {
  const faces = [];
  for (let axis = 0; axis < 3; axis++) for (const sign of [-1, 1]) {
    const [b, c] = [(axis + 1) % 3, (axis + 2) % 3];
    const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([p, q]) => {
      const v = [0, 0, 0];
      v[axis] = sign * SIDES[axis]; v[b] = p * SIDES[b]; v[c] = q * SIDES[c];
      return turned(quat, v);
    });
    const depth = corners.reduce((sum, v) => sum + see(v)[2], 0);
    const colour = axis === 0 && sign > 0 ? tone.front : axis === 2 && sign > 0 ? tone.top : tone.side;
    faces.push({ corners, depth, colour });
  }
  faces.sort((a, b) => b.depth - a.depth);
  pen.setLineDash([]);
  for (const { corners, colour } of faces) {
    pen.beginPath();
    corners.forEach((v, k) => (k ? pen.lineTo(...at(v)) : pen.moveTo(...at(v))));
    pen.closePath();
    pen.fillStyle = colour;
    pen.fill();
    pen.strokeStyle = tone.crease;
    pen.lineWidth = 1;
    pen.stroke();
  }
}

function cone(pen, path, axis, angle) {
  path(ringAround(axis, angle, 1), true);
  pen.fillStyle = tone.doubt;
  pen.fill();
  pen.setLineDash([3, 2]);
  pen.strokeStyle = tone.styles.estimate;
  pen.lineWidth = 1.2;
  pen.stroke();
  pen.setLineDash([]);
}

function rowAt(one, time) {
  const times = held.get(one.times), row = nearest(times, time);
  return row >= 0 && Math.abs(times[row] - time) < 0.5 ? row : -1;
}

function quatAt(one, time) {
  const row = rowAt(one, time);
  if (row < 0 || !one.quat) return null;
  const quat = held.get(one.quat).subarray(4 * row, 4 * row + 4);
  return quat.some(Number.isNaN) ? null : quat;
}

function valueAt(one, key, time) {
  const row = rowAt(one, time);
  return row < 0 ? NaN : held.get(key)[row];
}

function anglesOf([w, x, y, z]) {
  const degrees = (rad) => (rad * 180) / Math.PI;
  return [
    degrees(Math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))),
    degrees(Math.asin(Math.min(Math.max(2 * (w * y - x * z), -1), 1))),
    degrees(Math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))),
  ];
}
