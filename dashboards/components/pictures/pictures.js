// The component: one view a mount; where the keys are is its own, until the page shows another sheet.

const views = new WeakMap();

function open(root) {
  const view = { root, place: root.querySelector(".pictures-sheet"), keys: root.querySelector(".pictures-keys"), shares: root.querySelector(".pictures-shares"), at: 0, marked: new Set(), isTold: true };
  views.set(root, view);
  listen(view);
  return view;
}

function draw(view) {
  const { sheet } = view, drawn = JSON.stringify([sheet.tiles, sheet.acts, sheet.word, sheet.lacks]);
  if (view.drawn !== drawn) {
    view.drawn = drawn;
    const hadFocus = view.place.contains(view.root.activeElement ?? document.activeElement);
    view.place.replaceChildren(...sheet.tiles.map((tile) => tileOf(view, tile)));
    shareOut(view);
    if (hadFocus) go(view, view.at);
  }
  view.place.className = `pictures-sheet is-${sheet.layout}`;
  view.place.setAttribute("aria-label", sheet.aria);
  view.place.dataset.tiles = String(sheet.tiles.length);
  view.place.dataset.name = sheet.name;
  const acts = sheet.acts.map(({ letter, label }) => `${letter} ${label}`);
  view.keys.textContent = `Keys: arrows, Enter open, ${["x " + sheet.word, ...acts].join(", ")}`;
  dress(view);
}

export default function ({ parentElement, data, setStateValue }) {
  const view = views.get(parentElement) || open(parentElement);
  view.tell = setStateValue;
  const former = view.sheet, sheet = receive(data instanceof Uint8Array ? data : new Uint8Array(data));
  view.sheet = sheet;
  if (sheet.lacks) setStateValue("wanted", `${sheet.name}:${Date.now()}`);
  const isNew = !former || former.name !== sheet.name;
  if (isNew) { view.at = Math.max(0, sheet.tiles.findIndex((tile) => tile.id === sheet.opened)); view.place.scrollTop = 0; view.place.scrollLeft = 0; }
  view.at = Math.min(view.at, Math.max(sheet.tiles.length - 1, 0));
  if (isNew || former.revision !== sheet.revision || view.isTold) view.marked = new Set(sheet.marked);
  draw(view);
  if (isNew && view.at > 0) view.place.children[view.at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
}
