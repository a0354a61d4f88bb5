// Lengths between two points of a slice: millimetres where the spacing of pixels is known, else pixels.

function length(view, [from, to]) {
  const { spacing } = view.volume.header, [tall, wide] = spacing || [1, 1];
  const found = Math.hypot((to.x - from.x) * wide, (to.y - from.y) * tall);
  return spacing ? `${found.toFixed(1)} mm` : `${found.toFixed(1)} pixels (spacing not known)`;
}

function measuresHere(view) { return view.measures.filter((one) => one.slice === view.slice); }

function drawMeasures(view, at) {
  const { pen } = view, ratio = devicePixelRatio, on = (point) => [at.left + point.x * at.x, at.top + point.y * at.y];
  const open = view.open && view.open.slice === view.slice ? [{ ends: [view.open.from, view.cross] }] : [];
  pen.font = `600 ${14 * ratio}px sans-serif`;
  pen.textBaseline = "middle";
  for (const { ends } of [...measuresHere(view), ...open]) {
    const [[x0, y0], [x1, y1]] = ends.map(on);
    for (const [width, colour] of [[4, "rgba(0,0,0,0.7)"], [2, "#6be3ff"]]) {
      pen.lineWidth = width * ratio;
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1);
      pen.stroke();
    }
    pen.fillStyle = "#6be3ff";
    for (const [x, y] of [[x0, y0], [x1, y1]]) pen.fillRect(x - 3 * ratio, y - 3 * ratio, 6 * ratio, 6 * ratio);
    write(view, length(view, ends), Math.max(x0, x1) + 8 * ratio, (y0 + y1) / 2, "left");
  }
  if (view.tool !== "measure") return;
  const [x, y] = on(view.cross);
  pen.lineWidth = ratio;
  pen.strokeStyle = "#6be3ff";
  pen.beginPath();
  pen.moveTo(x - 10 * ratio, y); pen.lineTo(x + 10 * ratio, y);
  pen.moveTo(x, y - 10 * ratio); pen.lineTo(x, y + 10 * ratio);
  pen.stroke();
}

function setPoint(view) {
  if (view.open && view.open.slice === view.slice) {
    view.measures.push({ slice: view.slice, ends: [view.open.from, { ...view.cross }] });
    view.open = null;
  } else view.open = { slice: view.slice, from: { ...view.cross } };
  schedule(view);
}

function unmeasure(view) {
  if (view.open) view.open = null;
  else view.measures.splice(view.measures.lastIndexOf(measuresHere(view).at(-1)), measuresHere(view).length ? 1 : 0);
  schedule(view);
}
