// The component: one view a mount, which keeps how each study was last looked at.

const views = new WeakMap();
const KEPT = ["slice", "window", "zoom", "pan", "measures", "shown"];

function open(root) {
  const canvas = root.querySelector("canvas");
  const view = {
    root, canvas, pen: canvas.getContext("2d", { alpha: false }), plane: document.createElement("canvas"), tool: "window", isFolded: false,
    wait: root.querySelector(".reader-wait"), status: root.querySelector(".reader-status"), slider: root.querySelector(".reader-slider"), left: new Map(),
  };
  views.set(root, view);
  size(view);
  listen(view);
  return view;
}

function fresh({ count, windows, columns, rows }) {
  const { width, level, name } = windows[0];
  return { slice: Math.floor(count / 2), window: { width, level, name }, zoom: 1, pan: { x: 0, y: 0 }, measures: [], shown: new Map(), cross: { x: columns / 2, y: rows / 2 } };
}

function turn(view, volume) {
  if (view.volume) view.left.set(view.volume.header.key, Object.fromEntries(KEPT.map((name) => [name, view[name]])));
  if (view.isPlaying) play(view);
  const { header } = volume;
  Object.assign(view, fresh(header), view.left.get(header.key), { volume, since: performance.now(), seen: new Set(), open: null, rendered: "", greysOf: "", image: null });
  view.slider.max = String(header.count);
  view.root.querySelector(".reader-under").hidden = false;
  view.slider.style.display = view.root.querySelector(".reader-play").style.display = header.count > 1 ? "" : "none";
  view.canvas.dataset.study = header.key;
  const { activeElement } = document;  // who chose a study in the list reads it next
  if ([document.body, null].includes(activeElement) || view.root.contains?.(activeElement) || activeElement.closest("[data-testid=stDataFrame]")) view.canvas.focus({ preventScroll: true });
}

export default function ({ parentElement, data, setTriggerValue }) {
  const view = views.get(parentElement) || open(parentElement);
  view.trigger = setTriggerValue;
  const { volume, isNews } = receive(data instanceof Uint8Array ? data : new Uint8Array(data));
  const isTurned = view.volume?.header.key !== volume.header.key || !view.slider.max;
  if (isTurned || view.volume !== volume) turn(view, volume);
  taken(view, volume.header.taken);
  for (const { key, names, kind } of volume.header.overlays) {
    if (!view.shown.has(key)) view.shown.set(key, { on: names.length > 0, opacity: kind === "contours" ? 1 : 0.45, off: new Set() });
  }
  const drawn = JSON.stringify([volume.header.key, volume.header.panel, volume.header.overlays]);
  if (view.drawnFor !== drawn) {
    view.drawnFor = drawn;
    tools(view);
    panel(view);
    size(view);
  }
  schedule(view);
  if (isNews || isTurned) ask(view);
}
