// The lanes over one clock: streams at their own rates (of each pixel its least and greatest reading), the doubt with
// the error where truth is known, and what is said of each sensor's health, by word and pattern.

const DASHES = { estimate: [], classical: [6, 4], reference: [2, 3], readings: [2, 5] };
const HEALTH_PX = 19, LOW_PX = 15, MANY = 4, AXIS_PX = 24, DOUBT_PX = 84, GAP_PX = 7, BREAK = 4;  // a line breaks where so many readings lack
const FONT = { family: "sans-serif" };  // the page's, once there is one
const TICKS_DEG = [1, 5, 20, 60, 180], LEAST_DEG = 5;

function layout(view) {
  const { scene } = view, width = view.canvas.clientWidth, height = view.canvas.clientHeight, isNarrow = width < 760;
  const side = isNarrow ? 0 : 330, top = isNarrow ? 250 : 8, left = isNarrow ? 92 : 158, right = width - side - (isNarrow ? 10 : 14);
  const doubt = scene.tracks.some((one) => one.error || one.radius) ? DOUBT_PX : 0;
  const line = scene.health.length > MANY ? LOW_PX : HEALTH_PX, health = scene.health.length ? scene.health.length * line + 4 : 0;
  const room = height - top - AXIS_PX - health - doubt - GAP_PX * 2, each = room / Math.max(scene.lanes.length, 1);
  const lanes = scene.lanes.map((lane, index) => ({ y: top + index * each, h: each - GAP_PX }));
  return { width, height, isNarrow, side, left, right, lanes, doubt: { y: top + room + GAP_PX, h: doubt - GAP_PX }, health: height - AXIS_PX - health, line, bottom: height - AXIS_PX };
}

function across(view, place) {
  const [from, to] = view.window, scale = (place.right - place.left) / (to - from);
  return (time) => place.left + (time - from) * scale;
}

// One line of readings: of every column of pixels the first, least, greatest and last, so that no spike is lost.
function trace(pen, times, read, x, y, [from, to], gap) {
  let column = NaN, low = 0, high = 0, last = 0, isOpen = false, since = NaN;
  const flush = () => { if (isOpen) { pen.lineTo(column + 0.5, y(low)); pen.lineTo(column + 0.5, y(high)); pen.lineTo(column + 0.5, y(last)); } };
  pen.beginPath();
  const end = Math.min(before(times, to) + 2, times.length);
  for (let i = Math.max(before(times, from), 0); i < end; i++) {
    const value = read(i);
    if (Number.isNaN(value) || times[i] - since > gap) { flush(); isOpen = false; column = NaN; }
    if (Number.isNaN(value)) continue;
    since = times[i];
    const here = Math.round(x(times[i]));
    if (here === column) { low = Math.min(low, value); high = Math.max(high, value); last = value; continue; }
    flush();
    column = here;
    if (isOpen) pen.lineTo(column + 0.5, y(value)); else pen.moveTo(column + 0.5, y(value));
    isOpen = true;
    low = high = last = value;
  }
  flush();
  pen.stroke();
}

function range(lane) {
  if (lane.range) return lane.range;
  let low = Infinity, high = -Infinity;
  for (const value of held.get(lane.values)) if (!Number.isNaN(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > high) [low, high] = [-1, 1];
  const room = Math.max((high - low) * 0.06, 1e-6);
  return (lane.range = [low - room, high + room]);
}

function box(pen, place, { y, h }) {
  pen.fillStyle = tone.paper;
  pen.fillRect(place.left, y, place.right - place.left, h);
  pen.strokeStyle = tone.edge;
  pen.lineWidth = 1;
  pen.strokeRect(place.left + 0.5, y + 0.5, place.right - place.left, h);
}

function clipped(pen, place, { y, h }, draw) {
  pen.save();
  pen.beginPath();
  pen.rect(place.left, y, place.right - place.left, h);
  pen.clip();
  draw();
  pen.restore();
}

function words(pen, text, x, y, { weight = 400, colour = tone.ink, size = 12, align = "left", width } = {}) {
  pen.font = `${weight} ${size}px ${FONT.family}`;
  pen.textAlign = align;
  pen.textBaseline = "middle";
  pen.fillStyle = colour;
  let shown = text;
  while (width && shown.length > 2 && pen.measureText(shown).width > width) shown = `${shown.slice(0, -2)}\u2026`;
  pen.fillText(shown, x, y);
}

function label(pen, text, x, y) {
  pen.font = `600 11px ${FONT.family}`;
  pen.fillStyle = tone.veil;
  pen.fillRect(x - 3, y - 7, pen.measureText(text).width + 6, 14);
  words(pen, text, x, y, { weight: 600, colour: tone.accused, size: 11 });
}

function tick(pen, text, x, y) {
  pen.font = `400 10px ${FONT.family}`;
  pen.fillStyle = tone.veil;
  const wide = pen.measureText(text).width;
  pen.fillRect(x - wide - 2, y - 6, wide + 4, 12);
  words(pen, text, x, y, { size: 10, colour: tone.quiet, align: "right" });
}

function drawLane(pen, view, place, lane, spot) {
  const x = across(view, place), [low, high] = range(lane), times = held.get(lane.times), values = held.get(lane.values);
  const y = (value) => spot.y + spot.h - ((value - low) / (high - low)) * spot.h, num = lane.channels.length;
  box(pen, place, spot);
  clipped(pen, place, spot, () => {
    if (lane.fault) drawFault(pen, x, spot, lane.fault);
    if (low < 0 && high > 0) { pen.strokeStyle = tone.zero; pen.beginPath(); pen.moveTo(place.left, y(0)); pen.lineTo(place.right, y(0)); pen.stroke(); }
    pen.lineWidth = 1;
    lane.channels.forEach((_, channel) => {
      pen.strokeStyle = tone.channels[channel % tone.channels.length];
      trace(pen, times, (i) => values[i * num + channel], x, y, view.window, lane.rate ? BREAK / lane.rate : Infinity);
    });
    if (lane.fault) label(pen, `injected: ${lane.fault.word}`, Math.max(x(lane.fault.from), place.left) + 5, spot.y + 10);
  });
  if (hasNoRoom(lane, spot.h)) {
    const rate = `${told(lane.rate)} Hz`;
    pen.font = `400 10px ${FONT.family}`;
    tick(pen, rate, place.left + 6 + pen.measureText(rate).width, spot.y + spot.h - 7);
  }
  tick(pen, told(high, 2), place.right - 3, spot.y + 8);
  tick(pen, told(low, 2), place.right - 3, spot.y + spot.h - 7);
}

function drawFault(pen, x, { y, h }, fault) {
  const from = x(fault.from), width = Math.max(x(fault.to) - from, 2);
  pen.fillStyle = tone.faulty;
  pen.fillRect(from, y, width, h);
  pen.strokeStyle = tone.fault;
  pen.setLineDash([4, 3]);
  pen.strokeRect(from, y + 1, width, h - 2);
  pen.setLineDash([]);
}

// The value that all but a hundredth keep below: what is not known yet at the start must not flatten the rest.
function usualMost(key) {
  const known = held.get(key).filter((value) => !Number.isNaN(value)).sort();
  return known.length ? known[Math.floor(0.99 * (known.length - 1))] : 0;
}

function drawDoubt(pen, view, place) {
  const x = across(view, place), spot = place.doubt, { tracks } = view.scene;
  const most = tracks.reduce((top, one) => [one.error, one.radius].reduce((up, key) => (key ? Math.max(up, usualMost(key)) : up), top), LEAST_DEG);
  const y = (degrees) => spot.y + spot.h - Math.sqrt(Math.min(degrees, most) / most) * (spot.h - 3);
  box(pen, place, spot);
  clipped(pen, place, spot, () => {
    pen.strokeStyle = tone.zero;
    pen.lineWidth = 1;
    for (const degrees of TICKS_DEG) { pen.beginPath(); pen.moveTo(place.left, y(degrees)); pen.lineTo(place.right, y(degrees)); pen.stroke(); }
    for (const one of tracks) if (one.radius) drawBand(pen, view, place, one, x, y);
    for (const one of tracks) {
      if (!one.error) continue;
      const times = held.get(one.times), errors = held.get(one.error);
      pen.strokeStyle = tone.styles[one.style];
      pen.lineWidth = one.style === "estimate" ? 1.6 : 1.2;
      pen.setLineDash(DASHES[one.style]);
      trace(pen, times, (i) => errors[i], x, y, view.window, Infinity);
    }
    pen.setLineDash([]);
  });
  let above = -Infinity;  // of two ticks whose words would touch, the greater is said
  for (const degrees of [...TICKS_DEG].reverse()) {
    if (degrees > most || y(degrees) < above + 12 || y(degrees) > spot.y + spot.h - 6) continue;
    above = y(degrees);
    tick(pen, `${degrees}`, place.right - 3, above);
  }
  const hasError = tracks.some((one) => one.error), width = place.left - 12;
  words(pen, hasError ? "error, doubt" : "doubt", 8, spot.y + 9, { weight: 600, width });
  words(pen, "deg, root scale", 8, spot.y + 25, { size: 11, colour: tone.quiet, width });
  tracks.filter((one) => one.error || one.radius).forEach((one, index) => {
    const line = spot.y + 42 + 15 * index;
    stroke(pen, one.style, 8, line, 30, line);
    words(pen, one.radius ? `${one.name}, band 90 %` : one.name, 35, line, { size: 11, width: place.left - 40 });
  });
}

function stroke(pen, style, fromX, fromY, toX, toY) {
  pen.strokeStyle = tone.styles[style];
  pen.lineWidth = 2;
  pen.setLineDash(DASHES[style]);
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(toX, toY);
  pen.stroke();
  pen.setLineDash([]);
}

function drawBand(pen, view, place, one, x, y) {
  const times = held.get(one.times), radii = held.get(one.radius), [from, to] = view.window;
  const first = Math.max(before(times, from), 0), last = Math.min(before(times, to) + 2, times.length);
  const step = Math.max(Math.floor((last - first) / (2 * (place.right - place.left))), 1);
  pen.fillStyle = tone.doubt;
  pen.beginPath();
  pen.moveTo(x(times[first]), y(0));
  for (let i = first; i < last; i += step) {
    let most = 0;  // of the readings of half a pixel the greatest doubt
    for (let k = i; k < Math.min(i + step, last); k++) if (radii[k] > most) most = radii[k];
    pen.lineTo(x(times[i]), y(most));
  }
  pen.lineTo(x(times[Math.max(last - 1, first)]), y(0));
  pen.fill();
}

const CALM = "ok";  // what is said of a sensor that nobody accuses
const PATTERNS = {
  ok: (pen) => { pen.fillStyle = tone.calm; pen.fillRect(0, 0, 8, 8); },
  absent: (pen) => { pen.fillStyle = "#fff"; pen.fillRect(0, 0, 8, 8); lines(pen, [[0, 0, 8, 8], [0, 8, 8, 0]]); },
  stuck: (pen) => { pen.fillStyle = "#f4d9a6"; pen.fillRect(0, 0, 8, 8); lines(pen, [[0, 2, 8, 2], [0, 6, 8, 6]]); },
  biased: (pen) => { pen.fillStyle = "#f6cfc4"; pen.fillRect(0, 0, 8, 8); lines(pen, [[0, 8, 8, 0]]); },
  noisy: (pen) => { pen.fillStyle = "#e6d6f0"; pen.fillRect(0, 0, 8, 8); pen.fillStyle = "#333"; for (const [x, y] of [[1, 2], [5, 5], [3, 7], [6, 1]]) pen.fillRect(x, y, 1.5, 1.5); },
  skewed: (pen) => { pen.fillStyle = "#cfe3f5"; pen.fillRect(0, 0, 8, 8); lines(pen, [[2, 0, 5, 8]]); },
  saturated: (pen) => { pen.fillStyle = "#4a3b3b"; pen.fillRect(0, 0, 8, 8); },
};

function lines(pen, each) {
  pen.strokeStyle = "#444";
  pen.lineWidth = 1;
  pen.beginPath();
  for (const [x, y, toX, toY] of each) { pen.moveTo(x, y); pen.lineTo(toX, toY); }
  pen.stroke();
}

function pattern(view, pen, state) {
  view.patterns ||= {};
  if (!view.patterns[state]) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    (PATTERNS[state] || PATTERNS.biased)(tile.getContext("2d"));
    view.patterns[state] = pen.createPattern(tile, "repeat");
  }
  return view.patterns[state];
}

function drawHealth(pen, view, place) {
  const x = across(view, place);
  view.scene.health.forEach(({ title, spans }, index) => {
    const spot = { y: place.health + index * place.line, h: place.line - 3 };
    words(pen, title, 8, spot.y + spot.h / 2, { size: 11, weight: 600, width: place.left - 14 });
    clipped(pen, place, spot, () => {
      let waiting = "";  // a word that its own span had no room for: the calm one behind it says it
      for (const [from, to, state] of spans) {
        const start = Math.max(x(from), place.left), end = Math.min(x(to), place.right), isCalm = state === CALM;
        if (end < place.left || start > place.right) continue;
        pen.fillStyle = pattern(view, pen, state);
        pen.fillRect(start, spot.y, Math.max(end - start, 1.5), spot.h);
        const word = isCalm && waiting ? `\u2190 ${waiting}` : state;
        pen.font = `600 11px ${FONT.family}`;
        const wide = pen.measureText(word).width + 8;
        waiting = "";
        if (end - start < wide) { waiting = isCalm ? "" : state; continue; }
        pen.fillStyle = isCalm ? tone.calm : tone.paper;
        pen.fillRect(start + 2, spot.y + 2, wide, spot.h - 4);
        words(pen, word, start + 6, spot.y + spot.h / 2 + 0.5, { size: 11, weight: word === CALM ? 400 : 600 });
      }
    });
    pen.strokeStyle = tone.strong;
    pen.lineWidth = 1;
    pen.strokeRect(place.left + 0.5, spot.y + 0.5, place.right - place.left, spot.h);
  });
}

function drawAxis(pen, view, place) {
  const [from, to] = view.window, x = across(view, place), most = Math.max(Math.floor((place.right - place.left) / 90), 2);
  const raw = (to - from) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw);
  for (let k = Math.ceil(from / step); k * step <= to; k++) {
    const at = x(k * step);
    pen.strokeStyle = tone.strong;
    pen.beginPath();
    pen.moveTo(at, place.bottom);
    pen.lineTo(at, place.bottom + 4);
    pen.stroke();
    words(pen, `${Number((k * step).toPrecision(10))}`, at, place.bottom + 13, { size: 11, align: "center", colour: tone.quiet });
  }
  words(pen, "time, s", 8, place.bottom + 13, { size: 11, colour: tone.quiet });
}

// What does not follow the cursor is drawn once and kept as a picture.
function drawLanes(view, place) {
  const stamp = JSON.stringify([view.stamp, view.window, view.canvas.width, view.canvas.height]);
  if (view.lanesOf === stamp) return view.lanesPicture;
  const picture = (view.lanesPicture ||= document.createElement("canvas")), ratio = devicePixelRatio;
  picture.width = view.canvas.width;
  picture.height = view.canvas.height;
  const pen = picture.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  view.scene.lanes.forEach((lane, index) => drawLane(pen, view, place, lane, place.lanes[index]));
  if (place.doubt.h > 0) drawDoubt(pen, view, place);
  drawHealth(pen, view, place);
  drawAxis(pen, view, place);
  view.lanesOf = stamp;
  return picture;
}

// A lane too low for its first three channels in a column says them side by side, and its rate within the plot.
function hasNoRoom(lane, height) { return height < 32 + 15 * Math.min(lane.channels.length, 3); }

function short(name) { return name.split(/[^a-z0-9]+/i).map((part) => part[0]).join(""); }

// Names of lanes, and what each channel says at the cursor: side by side where a lane is low.
function drawGutter(pen, view, place) {
  const width = place.left - 12;
  view.scene.lanes.forEach((lane, index) => {
    const { y, h } = place.lanes[index], times = held.get(lane.times), values = held.get(lane.values), num = lane.channels.length;
    const row = before(times, view.cursor), isOld = row < 0 || view.cursor - times[row] > BREAK / lane.rate;
    const isLow = hasNoRoom(lane, h), top = y + (isLow ? 24 : 39), lines = Math.max(Math.floor((y + h - top) / 13) + 1, 1);
    const columns = isLow ? Math.ceil(Math.min(num, 3 * lines) / lines) : 1, wide = width / columns;
    words(pen, lane.title, 8, y + 8, { weight: 600, width: isLow ? width * 0.6 : width });
    if (isLow) words(pen, lane.unit === "1" ? "" : lane.unit, place.left - 8, y + 8, { size: 11, colour: tone.quiet, align: "right", width: width * 0.38 });
    else words(pen, `${lane.unit}, ${told(lane.rate)} Hz`, 8, y + 23, { size: 11, colour: tone.quiet, width });
    lane.channels.slice(0, columns * lines).forEach((name, channel) => {
      const line = top + (isLow ? 13 : 15) * Math.floor(channel / columns), left = 8 + wide * (channel % columns), value = isOld ? NaN : values[row * num + channel];
      words(pen, columns > 1 ? short(name) : name, left, line, { size: 11, weight: 600, colour: tone.channels[channel % tone.channels.length], width: wide / 2 });
      words(pen, told(value, columns > 1 ? 2 : 3), left + wide - 4, line, { size: 11, align: "right" });
    });
  });
}

function drawCursor(pen, view, place) {
  const at = Math.round(across(view, place)(view.cursor)) + 0.5;
  if (at < place.left - 1 || at > place.right + 1) return;
  pen.strokeStyle = tone.ink;
  pen.lineWidth = 1.2;
  pen.beginPath();
  pen.moveTo(at, place.lanes[0]?.y ?? place.doubt.y);
  pen.lineTo(at, place.bottom + 4);
  pen.stroke();
  pen.fillStyle = tone.ink;
  pen.fillRect(at - 26, place.bottom + 5, 52, 16);
  words(pen, `${fixed(view.cursor, 2)} s`, at, place.bottom + 13.5, { size: 11, colour: tone.onInk, align: "center" });
}
