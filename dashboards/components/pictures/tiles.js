// One tile: its picture or its text, badge, warnings, title and lines, what can be done with it. Words are text alone.

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function tileOf(view, tile) {
  const made = element("div", "pictures-tile");
  made.setAttribute("role", "listitem");
  made.dataset.id = tile.id;
  const open = element("button", "pictures-open");
  open.type = "button";
  open.tabIndex = -1;
  open.setAttribute("aria-label", [tile.title, tile.badge, ...tile.warnings, ...tile.lines].filter(Boolean).join(". "));
  open.append(frameOf(tile));
  const title = element("span", "pictures-title", tile.title);
  title.title = tile.title;
  open.append(title);
  for (const line of tile.lines) open.append(element("span", "pictures-line", line));
  open.addEventListener("click", () => act(view, "open", tile.id));
  open.addEventListener("focus", () => { view.at = view.sheet.tiles.findIndex((one) => one.id === tile.id); rove(view); });
  made.append(open, toolsOf(view, tile));
  return made;
}

function frameOf(tile) {
  const frame = element("span", "pictures-frame");
  if (tile.picture && held.has(tile.picture)) {
    const image = element("img");
    image.src = held.get(tile.picture);
    image.alt = "";
    image.decoding = "async";
    frame.append(image);
  } else frame.append(element("span", "pictures-text", tile.text));
  if (tile.badge) frame.append(element("span", "pictures-badge", tile.badge));
  for (const warning of tile.warnings) frame.append(element("span", "pictures-warning", warning));
  return frame;
}

function toolsOf(view, tile) {
  const tools = element("div", "pictures-tools");
  const label = element("label"), box = element("input");
  box.type = "checkbox";
  box.tabIndex = -1;
  box.addEventListener("change", () => mark(view, tile.id, box.checked));
  label.append(box, view.sheet.word);
  label.title = `${view.sheet.word} (x)`;
  tools.append(label);
  for (const { name, label: word, letter } of view.sheet.acts) {
    const button = element("button", "", word);
    button.type = "button";
    button.tabIndex = -1;
    button.title = `${word} (${letter})`;
    button.addEventListener("click", () => act(view, name, tile.id));
    tools.append(button);
  }
  return tools;
}

// A line that the tiles of a strip share by their lengths: what the keys reach below, for the eye and the mouse.
function shareOut(view) {
  const { tiles, layout } = view.sheet, isDrawn = layout === "strip" && tiles.length > 1 && tiles.every((tile) => tile.length > 0);
  view.shares.replaceChildren(...(isDrawn ? tiles : []).map((tile) => {
    const made = element("span", "pictures-share");
    made.style.flexGrow = String(tile.length);
    made.title = [tile.title, ...tile.lines].join(" ");
    made.addEventListener("click", () => act(view, "open", tile.id));
    return made;
  }));
}

// Marks, the open tile and where the keys are, without making any tile anew.
function dress(view) {
  const tiles = view.place.children;
  for (let at = 0; at < tiles.length; at += 1) {
    const { id } = view.sheet.tiles[at], isMarked = view.marked.has(id);
    tiles[at].classList.toggle("is-marked", isMarked);
    tiles[at].classList.toggle("is-open", id === view.sheet.opened);
    tiles[at].querySelector("input").checked = isMarked;
    tiles[at].firstChild.setAttribute("aria-current", String(id === view.sheet.opened));
    view.shares.children[at]?.classList.toggle("is-marked", isMarked);
    view.shares.children[at]?.classList.toggle("is-open", id === view.sheet.opened);
  }
  view.place.dataset.marked = String(view.marked.size);
  rove(view);
}

function rove(view) {
  const tiles = view.place.children;
  for (let at = 0; at < tiles.length; at += 1) tiles[at].firstChild.tabIndex = at === view.at ? 0 : -1;
}
