// Hands: pointer, two fingers, wheel and keys. One finger scrolls the page, as anywhere on it.

const TAP_PX = 4;
const HINT_MS = 1600;

// Where an event lies on the canvas, in its pixels; the stage may be on the move, its frame is not.
function spot(view, event) {
  const box = view.frame.getBoundingClientRect();
  return [(event.clientX - box.left) * devicePixelRatio, (event.clientY - box.top) * devicePixelRatio];
}

// An act, not a state: the page may choose otherwise afterwards, and the same region may then be chosen here again.
function choose(view, index) {
  if (index < 0 || index === view.selected) return;
  view.selected = index;
  draw(view, "marks");
  announce(view, `Chosen: ${view.header.labels[index] || view.header.ids[index]}`);
  view.trigger("selected", view.header.ids[index]);
}

function step(view, by) {
  const { regions } = view.shapes;
  if (regions) choose(view, view.selected < 0 ? 0 : (view.selected + by + regions) % regions);
}

function press(view, event) {
  const [px, py] = spot(view, event);
  if (view.corners) addCorner(view, px, py);
  else choose(view, find(view, px, py));
}

function hover(view, event) {
  const [px, py] = spot(view, event), index = find(view, px, py), [x, y] = ground(transform(view), px, py);
  if (index !== view.hovered || view.isByKeys) { view.hovered = index; view.isByKeys = false; schedule(view, "marks"); }
  showTip(view, view.mode ? [] : wordsAt(view, index, x, y), px / devicePixelRatio, py / devicePixelRatio);
  showPlace(view, placeWords(view, x, y));
}

function leave(view) {
  view.hovered = -1;
  showTip(view, []);
  showPlace(view, "");
  schedule(view, "marks");
}

function listenToPointer(view) {
  const { canvas } = view;
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button) return;
    drag = { x: event.clientX, y: event.clientY, isMoved: false, isTouch: event.pointerType === "touch" };
    if (!drag.isTouch) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!view.shapes || !event.isPrimary) return;
    if (!drag) { if (event.pointerType !== "touch") hover(view, event); return; }
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (Math.abs(dx) + Math.abs(dy) >= TAP_PX) drag.isMoved = true;
    if (!drag.isMoved || drag.isTouch) return;
    drag.x = event.clientX;
    drag.y = event.clientY;
    showTip(view, []);
    panBy(view, dx * devicePixelRatio, dy * devicePixelRatio);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!event.isPrimary) return;
    if (drag && !drag.isMoved && !view.isPinched && view.shapes) press(view, event);
    if (drag && drag.isMoved && view.shapes) rest(view);
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => leave(view));
  canvas.addEventListener("dblclick", () => { if (view.corners) finishHand(view); });
}

// Two fingers zoom and move; one scrolls the page, and is told what two would do.
function listenToFingers(view) {
  const { canvas } = view, hint = view.root.querySelector(".fieldmap-fingers");
  let last = null;
  const two = ({ touches: [a, b] }) => ({
    clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2, far: Math.max(Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), 1),
  });
  canvas.addEventListener("touchstart", (event) => {
    if (event.touches.length < 2) { view.isPinched = false; return; }
    event.preventDefault();
    view.isPinched = true;
    last = two(event);
  }, { passive: false });
  canvas.addEventListener("touchmove", (event) => {
    if (event.touches.length < 2 || !view.shapes) {
      if (!view.isPinched) hintFor(view, hint);
      return;
    }
    event.preventDefault();
    const now = two(event), [px, py] = spot(view, now), [x, y] = spot(view, last || now);
    if (last) {
      panBy(view, px - x, py - y);
      zoomAt(view, now.far / last.far, px, py);
    }
    last = now;
  }, { passive: false });
  const end = (event) => { if (event.touches.length < 2) { last = null; if (view.isPinched && view.shapes) rest(view); } };
  canvas.addEventListener("touchend", end);
  canvas.addEventListener("touchcancel", end);
}

function hintFor(view, hint) {
  clearTimeout(view.hinting);
  hint.classList.add("is-shown");
  view.hinting = setTimeout(() => hint.classList.remove("is-shown"), HINT_MS);
}

function rest(view) {
  clearTimeout(view.rest);
  schedule(view, "all");
}

// A notch of a wheel is about a hundred pixels; a pinch on a touchpad comes as small steps with the control key.
function turn(view, event) {
  event.preventDefault();
  if (!view.shapes) return;
  const pixels = event.deltaY * [1, 33, 600][event.deltaMode];
  zoomAt(view, Math.exp(-Math.min(Math.max(pixels, -240), 240) * (event.ctrlKey ? 0.01 : 0.002)), ...spot(view, event));
}

function onKey(view, key) {
  const { canvas } = view, far = 60 * devicePixelRatio;
  const moves = { ArrowLeft: [far, 0], ArrowRight: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] };
  if (moves[key]) panBy(view, ...moves[key]);
  else if (key === "+" || key === "=") zoomIn(view, 1.3);
  else if (key === "-") zoomIn(view, 1 / 1.3);
  else if (key === "0" || key === "Home") { goHome(view); moved(view); }
  else if (key === "d" && view.header.drawable) startHand(view, "draw");
  else if (key === "m" && view.ground) startHand(view, "measure");
  else if (view.corners && key === " ") addCorner(view, canvas.width / 2, canvas.height / 2);
  else if (view.corners && key === "Enter") finishHand(view);
  else if (view.corners && key === "Backspace") dropCorner(view);
  else if (view.corners && key === "Escape") startHand(view, view.mode);
  else if (key === "n") step(view, 1);
  else if (key === "p") step(view, -1);
  else if (key === "i") sayMiddle(view);
  else return false;
  return true;
}

function listen(view) {
  const { canvas, root } = view;
  listenToPointer(view);
  listenToFingers(view);
  canvas.addEventListener("wheel", (event) => turn(view, event), { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (!view.shapes || event.ctrlKey || event.metaKey || event.altKey || !onKey(view, event.key)) return;
    event.preventDefault();
  });
  const on = (name, act) => root.querySelector(name).addEventListener("click", () => { if (view.shapes) act(); });
  root.querySelector(".fieldmap-naming input").addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "Enter") { event.preventDefault(); canvas.focus(); }
  });
  on(".fieldmap-in", () => zoomIn(view, 1.5));
  on(".fieldmap-out", () => zoomIn(view, 1 / 1.5));
  on(".fieldmap-home", () => { goHome(view); moved(view); });
  on(".fieldmap-draw", () => startHand(view, "draw"));
  on(".fieldmap-measure", () => startHand(view, "measure"));
  on(".fieldmap-fixed", () => switchScale(view));
  listenToWants(view);
  followTheme(view);
  for (const one of view.stage.children) one.addEventListener("contextrestored", () => drawAnew(view));
  new ResizeObserver(() => { if (size(view)) draw(view, "all"); }).observe(view.frame);
}
