// The cursor and the window of time: by mouse, wheel, keys and buttons.

const REST_MS = 350;  // after which the page is told where the cursor stands
const SHORTEST_S = 0.05;

function moveTo(view, time) {
  const [first, last] = view.scene.span;
  view.cursor = Math.min(Math.max(time, first), last);
  const [from, to] = view.window;
  if (view.cursor < from || view.cursor > to) shift(view, view.cursor - (from + to) / 2);
  schedule(view);
  clearTimeout(view.rest);
  view.rest = setTimeout(() => view.tell("cursor", Number(view.cursor.toFixed(3))), REST_MS);
}

function shift(view, by) {
  const [first, last] = view.scene.span, width = view.window[1] - view.window[0];
  const from = Math.min(Math.max(view.window[0] + by, first), last - width);
  view.window = [from, from + width];
  schedule(view);
}

function zoom(view, factor, about = view.cursor) {
  const [first, last] = view.scene.span, [from, to] = view.window;
  const width = Math.min(Math.max((to - from) / factor, Math.min(SHORTEST_S, last - first)), last - first);
  const start = Math.min(Math.max(about - ((about - from) / (to - from)) * width, first), last - width);
  view.window = [start, start + width];
  schedule(view);
}

const ACTS = {
  back: (view, many) => moveTo(view, view.cursor - many * step(view)),
  on: (view, many) => moveTo(view, view.cursor + many * step(view)),
  in: (view) => zoom(view, 1.5),
  out: (view) => zoom(view, 1 / 1.5),
  all: (view) => { view.window = [...view.scene.span]; schedule(view); },
  first: (view) => moveTo(view, view.scene.span[0]),
  last: (view) => moveTo(view, view.scene.span[1]),
};
const KEYS = { ArrowLeft: "back", ArrowRight: "on", "+": "in", "=": "in", "-": "out", 0: "all", Home: "first", End: "last" };

function step(view) { return (view.window[1] - view.window[0]) / 100; }

function listen(view) {
  const { canvas } = view;
  let isHeld = false;
  const timeAt = (event) => {
    const place = view.place, [from, to] = view.window, x = event.clientX - canvas.getBoundingClientRect().left;
    return from + ((x - place.left) / (place.right - place.left)) * (to - from);
  };
  const isIn = (event) => {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    return view.place && x >= view.place.left - 4 && x <= view.place.right + 4 && y >= (view.place.lanes[0]?.y ?? 0);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!isIn(event)) return;
    isHeld = true;
    canvas.setPointerCapture(event.pointerId);
    moveTo(view, timeAt(event));
  });
  canvas.addEventListener("pointermove", (event) => { if (isHeld) moveTo(view, timeAt(event)); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { isHeld = false; });
  canvas.addEventListener("wheel", (event) => {
    if (!isIn(event)) return;
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) shift(view, ((event.deltaX || event.deltaY) / 1000) * (view.window[1] - view.window[0]));
    else zoom(view, event.deltaY < 0 ? 1.25 : 1 / 1.25, timeAt(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || !view.scene) return;
    event.preventDefault();
    ACTS[act](view, event.shiftKey ? 10 : 1);
  });
  for (const button of view.root.querySelectorAll("button[data-act]")) button.addEventListener("click", () => { if (view.scene) ACTS[button.dataset.act](view, 1); });
  new ResizeObserver(() => { fit(view); schedule(view); }).observe(canvas);
}
