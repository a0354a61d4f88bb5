// Wheel, pointer and keys. What dragging does, Shift and the arrows do too.

const TOOLS = [["window", "Window", "w"], ["move", "Move", "v"], ["measure", "Measure", "m"]];
const CINE_MS = 90;
const OPACITY_STEP = 0.1;
const HELP = [
  ["↑ ↓", "next and previous slice; PageUp, PageDown ten; Home, End"], ["wheel", "slices; with Ctrl zoom"],
  ["drag", "window (right: wider, down: darker), or what the tool does"], ["w v m", "drag to window, move or measure"],
  ["Shift + arrows", "what dragging does: window, move, or the cross of measures"], ["Space", "sets an end of a measure; else plays the slices"],
  ["Backspace", "takes the last measure back"], ["1 … 5, 0", "windows as on the buttons; 0 the file's own"], ["+ − f", "zoom, and fit again"],
  ["x h c", "mask, heatmap and the file's own contours on or off"], [", .", "overlays paler, stronger"], ["i", "the model's words away and back"], ["y", "why models do not apply"],
  ["n p", "next and previous study"], ["?", "this help"],
];

function go(view, slice) {
  const { count } = view.volume.header;
  view.slice = Math.min(Math.max(slice, 0), count - 1);
  schedule(view);
}

function setWindow(view, width, level, name = "by hand") {
  const least = view.volume.header.exact ? view.volume.header.windows[0].width / 1000 : 1;
  view.window = { width: Math.max(width, least), level, name };
  for (const button of view.root.querySelectorAll(".reader-windows button")) button.setAttribute("aria-pressed", String(button.dataset.name === name));
  schedule(view);
}

function zoomBy(view, factor) {
  view.zoom = Math.min(Math.max(view.zoom * factor, 0.2), 40);
  schedule(view);
}

function fit(view) {
  view.zoom = 1;
  view.pan = { x: 0, y: 0 };
  schedule(view);
}

function setTool(view, name) {
  view.tool = name;
  view.open = null;
  for (const button of view.root.querySelectorAll(".reader-tools [data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  schedule(view);
}

// Moves of the pointer, or of Shift and the arrows, in CSS pixels.
function drag(view, dx, dy) {
  const { windows } = view.volume.header, { width, level } = view.window;
  if (view.tool === "window") {
    const step = Math.max(windows[0].width, width) / 400;
    setWindow(view, width + dx * step, level + dy * step);
  } else if (view.tool === "move") {
    view.pan = { x: view.pan.x + dx, y: view.pan.y + dy };
    schedule(view);
  } else {
    const at = place(view);
    view.cross = { x: view.cross.x + (dx * devicePixelRatio) / at.x, y: view.cross.y + (dy * devicePixelRatio) / at.y };
    schedule(view);
  }
}

function toggle(view, kind) {
  for (const overlay of view.volume.header.overlays) {
    if (overlay.kind === kind) view.shown.get(overlay.key).on = !view.shown.get(overlay.key).on;
  }
  overlayTools(view);
  schedule(view);
}

function strengthen(view, by) {
  for (const shown of view.shown.values()) shown.opacity = Math.min(Math.max(shown.opacity + by, 0), 1);
  overlayTools(view);
  schedule(view);
}

function play(view) {
  view.isPlaying = !view.isPlaying && view.volume.header.count > 1;
  view.root.querySelector(".reader-play").textContent = view.isPlaying ? "⏸" : "▶";
  view.root.querySelector(".reader-play").setAttribute("aria-label", view.isPlaying ? "Stop playing" : "Play the slices");
  clearInterval(view.cine);
  if (view.isPlaying) view.cine = setInterval(() => (view.canvas.isConnected ? go(view, (view.slice + 1) % view.volume.header.count) : clearInterval(view.cine)), CINE_MS);
}

function fold(view) {
  view.isFolded = !view.isFolded;
  panel(view);
  schedule(view);
}

function help(view) {
  const box = view.root.querySelector(".reader-help");
  box.hidden = !box.hidden;
  const acts = view.volume.header.panel.acts.map(([, label, key]) => [key, label.toLowerCase()]);
  box.replaceChildren(...[...HELP, ...acts].map(([keys, what]) => {
    const line = document.createElement("div"), name = document.createElement("kbd");
    name.textContent = keys;
    line.append(name, ` ${what}`);
    return line;
  }));
}

function press(view, event) {
  const far = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
  const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 };
  const { windows, panel: words } = view.volume.header;
  const preset = windows.find((one) => one.key === event.key), done = words.acts.find(([, , key]) => key === event.key);
  const acts = {
    "+": () => zoomBy(view, 1.25), "=": () => zoomBy(view, 1.25), "-": () => zoomBy(view, 0.8), f: () => fit(view),
    x: () => toggle(view, "mask"), h: () => toggle(view, "heatmap"), c: () => toggle(view, "contours"), ",": () => strengthen(view, -OPACITY_STEP), ".": () => strengthen(view, OPACITY_STEP),
    i: () => fold(view), "?": () => help(view), n: () => act(view, TURN, 1), p: () => act(view, TURN, -1), y: () => why(view),
    " ": () => (view.tool === "measure" ? setPoint(view) : play(view)), Backspace: () => unmeasure(view),
    Escape: () => { view.open = null; if (!view.root.querySelector(".reader-help").hidden) help(view); schedule(view); },
  };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (view.refused) { view.refused = ""; busy(view); }
  const tool = TOOLS.find(([, , key]) => key === event.key);
  if (far && event.shiftKey) drag(view, ...far);
  else if (event.key in steps) go(view, view.slice + steps[event.key]);
  else if (preset) setWindow(view, preset.width, preset.level, preset.name);
  else if (done) act(view, done[0]);
  else if (tool) setTool(view, tool[0]);
  else if (event.key in acts) acts[event.key]();
  else return;
  event.preventDefault();
}

// Column and row under the pointer, pixel centres at whole numbers and a half.
function under(view, event) {
  const box = view.canvas.getBoundingClientRect(), at = place(view), ratio = view.canvas.width / box.width;
  return { x: ((event.clientX - box.left) * ratio - at.left) / at.x, y: ((event.clientY - box.top) * ratio - at.top) / at.y };
}

function listen(view) {
  const { canvas } = view;
  let held = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!view.volume) return;
    if (event.ctrlKey || view.volume.header.count === 1) { zoomBy(view, event.deltaY < 0 ? 1.15 : 1 / 1.15); return; }
    view.wheel = (view.wheel || 0) + (event.deltaMode ? 40 * event.deltaY : event.deltaY);
    const steps = Math.trunc(view.wheel / 40) || (Math.abs(event.deltaY) >= 4 ? Math.sign(event.deltaY) : 0);
    if (steps) { view.wheel = 0; go(view, view.slice + steps); }
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (!view.volume) return;
    canvas.setPointerCapture(event.pointerId);
    held = { x: event.clientX, y: event.clientY };
    if (view.tool === "measure" && event.button === 0 && !event.shiftKey) { view.cross = under(view, event); view.open = null; setPoint(view); }
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!view.volume) return;
    const dx = event.clientX - (held?.x ?? 0), dy = event.clientY - (held?.y ?? 0);
    if (held) Object.assign(held, { x: event.clientX, y: event.clientY });
    if (held && (event.shiftKey || event.buttons & 4)) { view.pan = { x: view.pan.x + dx, y: view.pan.y + dy }; }
    else if (view.tool === "measure") view.cross = under(view, event);
    else if (held) drag(view, dx, dy);
    view.hover = under(view, event);
    schedule(view);
  });
  canvas.addEventListener("pointerup", () => {
    if (held && view.tool === "measure" && view.open && Math.hypot(view.open.from.x - view.cross.x, view.open.from.y - view.cross.y) > 0.5) setPoint(view);
    held = null;
  });
  canvas.addEventListener("pointerleave", () => { view.hover = null; if (view.volume) schedule(view); });
  canvas.addEventListener("dblclick", () => { if (view.tool !== "measure") fit(view); });
  canvas.addEventListener("keydown", (event) => { if (view.volume) press(view, event); });
  view.root.querySelector(".reader-slider").addEventListener("input", (event) => go(view, Number(event.target.value) - 1));
  view.root.querySelector(".reader-play").addEventListener("click", () => play(view));
  new ResizeObserver(() => { size(view); draw(view); }).observe(canvas);
}

function size(view) {
  const box = view.canvas.getBoundingClientRect();
  view.isNarrow = view.root.querySelector(".reader").clientWidth < 720;
  view.root.querySelector(".reader").classList.toggle("is-narrow", view.isNarrow);
  view.barPx = view.isNarrow ? 0 : view.root.querySelector(".reader-bar").offsetHeight + 8;  // that the tools cover
  view.canvas.width = Math.max(Math.round(box.width * devicePixelRatio), 1);
  view.canvas.height = Math.max(Math.round(box.height * devicePixelRatio), 1);
}
