// The component: one view a mount; the cursor and the window are its own, until the page names another recording.

const views = new WeakMap();

function open(root) {
  const canvas = root.querySelector("canvas");
  const view = { root: root.querySelector(".tracks"), canvas, pen: canvas.getContext("2d"), window: [0, 1], cursor: 0 };
  views.set(root, view);
  FONT.family = getComputedStyle(view.root).fontFamily || FONT.family;
  fit(view);
  listen(view);
  followTheme(view);
  return view;
}

function fit(view) {
  view.root.classList.toggle("is-narrow", view.root.clientWidth < 760);
  view.canvas.width = Math.max(Math.round(view.canvas.clientWidth * devicePixelRatio), 1);
  view.canvas.height = Math.max(Math.round(view.canvas.clientHeight * devicePixelRatio), 1);
}

function schedule(view) {
  if (view.isPending) return;
  view.isPending = true;
  requestAnimationFrame(() => { view.isPending = false; draw(view); });
}

function draw(view) {
  const { scene, pen, canvas } = view;
  if (!scene || scene.lacks) return;
  const place = (view.place = layout(view)), ratio = devicePixelRatio;
  const hasPath = scene.paths.length > 0, isSplit = place.isNarrow && hasPath;
  const aside = place.isNarrow ? { x: 0, y: 0, w: place.width, h: 245 } : { x: place.width - place.side, y: 4, w: place.side - 8, h: Math.min(hasPath ? 280 : 380, place.height * (hasPath ? 0.38 : 0.5)) };
  place.bodyBottom = aside.y + aside.h;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(drawLanes(view, place), 0, 0);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawGutter(pen, view, place);
  drawCursor(pen, view, place);
  drawBody(pen, view, isSplit ? { ...aside, w: aside.w / 2 } : aside);
  showPanel(view, place);
  const below = place.bodyBottom + view.root.querySelector(".tracks-panel").offsetHeight + 10;
  if (isSplit) drawPath(pen, view, { x: aside.w / 2 + 4, y: 6, w: aside.w / 2 - 10, h: aside.h - 10 });
  else if (hasPath) drawPath(pen, view, { x: aside.x, y: below, w: aside.w, h: Math.min(place.height - below - 8, aside.w) });
  Object.assign(canvas.dataset, { stamp: view.stamp, cursor: view.cursor.toFixed(3), lanes: scene.lanes.length, window: view.window.map((end) => end.toFixed(3)).join(" ") });
}

export default function ({ parentElement, data, setStateValue }) {
  const view = views.get(parentElement) || open(parentElement);
  view.tell = setStateValue;
  const former = view.scene, scene = receive(data instanceof Uint8Array ? data : new Uint8Array(data));
  view.scene = scene;
  view.stamp = scene.key;
  view.root.querySelector(".tracks-wait").hidden = !scene.lacks;
  if (scene.lacks) { setStateValue("wanted", `${scene.key}:${Date.now()}`); return; }
  if (!former || former.recording !== scene.recording) {
    view.window = [...scene.span];
    view.cursor = scene.cursor;
  } else if (former.jump !== scene.jump) moveTo(view, scene.cursor);
  view.canvas.setAttribute("aria-label", scene.aria);
  fit(view);
  draw(view);
}
