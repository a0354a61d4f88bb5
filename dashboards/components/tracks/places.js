// The path from above, east to the right and north up, with the ellipses within which places lie at 90 %.

const LEAST_M = 4;  // of the view's side

function boundsOf(view) {
  if (view.boundsOf === view.stamp) return view.bounds;
  let [left, low, right, high] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { xy, ellipses } of view.scene.paths) {
    const points = held.get(xy), around = ellipses ? usualReach(points, held.get(ellipses)) : 0;
    for (let i = 0; i < points.length; i += 2) if (!Number.isNaN(points[i])) {
      left = Math.min(left, points[i] - around); right = Math.max(right, points[i] + around);
      low = Math.min(low, points[i + 1] - around); high = Math.max(high, points[i + 1] + around);
    }
  }
  view.boundsOf = view.stamp;
  return (view.bounds = left > right ? null : [left, low, right, high]);
}

// Half of the ellipses are no longer: the view has room for them, and not for the doubt before anything is known.
function usualReach(points, ellipses) {
  const known = ellipses.filter((length, i) => i % 3 === 0 && !Number.isNaN(length) && !Number.isNaN(points[(2 * i) / 3])).sort();
  return known.length ? known[known.length >> 1] : 0;
}

function drawPath(pen, view, spot) {
  const bounds = view.scene.paths.length ? boundsOf(view) : null;
  if (!bounds || spot.h < 70) return;
  const [left, low, right, high] = bounds, wide = Math.max(right - left, LEAST_M), tall = Math.max(high - low, LEAST_M);
  const scale = Math.min((spot.w - 20) / wide, (spot.h - 40) / tall);
  const x = (east) => spot.x + spot.w / 2 + (east - (left + right) / 2) * scale, y = (north) => spot.y + spot.h / 2 + 6 - (north - (low + high) / 2) * scale;
  pen.fillStyle = tone.paper;
  pen.fillRect(spot.x, spot.y, spot.w, spot.h);
  pen.lineWidth = 1;
  pen.strokeStyle = tone.edge;
  pen.strokeRect(spot.x + 0.5, spot.y + 0.5, spot.w - 1, spot.h - 1);
  pen.save();
  pen.beginPath();
  pen.rect(spot.x, spot.y, spot.w, spot.h);
  pen.clip();
  for (const one of view.scene.paths) drawLine(pen, view, one, x, y, scale);
  pen.restore();
  scaleBar(pen, spot, scale, view.scene.up);
  pen.font = `400 11px ${FONT.family}`;
  pen.fillStyle = tone.veil;
  pen.fillRect(spot.x + 2, spot.y + 3, 35 + Math.max(...view.scene.paths.map(({ name }) => pen.measureText(name).width)), 14 * view.scene.paths.length + 2);
  view.scene.paths.forEach((one, k) => {
    stroke(pen, one.style, spot.x + 6, spot.y + 11 + 14 * k, spot.x + 26, spot.y + 11 + 14 * k);
    words(pen, one.name, spot.x + 31, spot.y + 11 + 14 * k, { size: 11 });
  });
}

function drawLine(pen, view, one, x, y, scale) {
  const times = held.get(one.times), points = held.get(one.xy), row = nearest(times, view.cursor);
  pen.strokeStyle = pen.fillStyle = tone.styles[one.style];
  pen.lineWidth = one.style === "estimate" ? 1.8 : 1.2;
  pen.setLineDash(DASHES[one.style]);
  pen.beginPath();
  if (one.style === "readings") for (let i = 0; i < times.length; i++) pen.fillRect(x(points[2 * i]) - 1, y(points[2 * i + 1]) - 1, 2, 2);
  else for (let i = 0, isOpen = false; i < times.length; i++) {
    if (Number.isNaN(points[2 * i])) { isOpen = false; continue; }
    if (isOpen) pen.lineTo(x(points[2 * i]), y(points[2 * i + 1])); else pen.moveTo(x(points[2 * i]), y(points[2 * i + 1]));
    isOpen = true;
  }
  pen.stroke();
  pen.setLineDash([]);
  if (one.ellipses) {
    const ellipses = held.get(one.ellipses), every = Math.max(Math.floor(times.length / 30), 1);
    for (let i = 0; i < times.length; i += every) ellipse(pen, ellipses, i, points, x, y, scale);
    if (row >= 0) ellipse(pen, ellipses, row, points, x, y, scale, tone.doubt);
  }
  if (row < 0 || Number.isNaN(points[2 * row])) return;
  pen.fillStyle = tone.styles[one.style];
  pen.beginPath();
  pen.arc(x(points[2 * row]), y(points[2 * row + 1]), 4, 0, 7);
  pen.fill();
}

// An outline, which hides nothing where many lie over one another; the one at the cursor is filled, too.
function ellipse(pen, ellipses, i, points, x, y, scale, filled) {
  const [a, b, angle] = ellipses.subarray(3 * i, 3 * i + 3);
  if (!Number.isFinite(a) || Number.isNaN(points[2 * i])) return;
  pen.beginPath();
  pen.ellipse(x(points[2 * i]), y(points[2 * i + 1]), Math.min(a * scale, 5000), Math.min(b * scale, 5000), -angle, 0, 7);
  pen.lineWidth = filled ? 1.4 : 0.7;
  pen.strokeStyle = filled ? tone.styles.estimate : tone.ring;
  pen.stroke();
  if (!filled) return;
  pen.fillStyle = filled;
  pen.fill();
}

function scaleBar(pen, spot, scale, up) {
  const raw = (spot.w / 4) / scale, power = 10 ** Math.floor(Math.log10(raw)), metres = [5, 2, 1].map((k) => k * power).find((one) => one <= raw);
  pen.strokeStyle = tone.ink;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(spot.x + 8, spot.y + spot.h - 9);
  pen.lineTo(spot.x + 8 + metres * scale, spot.y + spot.h - 9);
  pen.stroke();
  words(pen, `${metres} m, ${up}`, spot.x + 14 + metres * scale, spot.y + spot.h - 9, { size: 11 });
}
