// What is done: by keys, by mouse, told to the page. Marks are told as a whole, so that none is lost under the next.

const REST_MS = 300;  // after which the page is told of marks

function act(view, name, id) {
  view.num = Math.max(Date.now(), (view.num || 0) + 1);
  view.tell("act", { num: view.num, name, id });
}

function mark(view, id, isMarked) {
  if (isMarked) view.marked.add(id); else view.marked.delete(id);
  dress(view);
  clearTimeout(view.rest);
  view.isTold = false;
  view.rest = setTimeout(() => { view.isTold = true; view.tell("marked", { ids: [...view.marked], num: Date.now() }); }, REST_MS);
}

function columns(view) {
  const tiles = [...view.place.children], top = tiles[0]?.offsetTop;
  const next = tiles.findIndex((tile) => tile.offsetTop !== top);
  return next < 0 ? tiles.length : next;
}

function go(view, at) {
  view.at = Math.min(Math.max(at, 0), view.sheet.tiles.length - 1);
  rove(view);
  const tile = view.place.children[view.at];
  tile?.firstChild.focus({ preventScroll: true });
  tile?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function listen(view) {
  view.place.addEventListener("keydown", (event) => {
    const tile = view.sheet.tiles[view.at];
    if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(view), ArrowDown: columns(view) };
    const letter = event.key.toLowerCase(), other = view.sheet.acts.find((one) => one.letter === letter);
    if (event.key in steps) go(view, view.at + steps[event.key]);
    else if (event.key === "Home") go(view, 0);
    else if (event.key === "End") go(view, view.sheet.tiles.length - 1);
    else if (letter === "x") mark(view, tile.id, !view.marked.has(tile.id));
    else if (other) act(view, other.name, tile.id);
    else return;
    event.preventDefault();
  });
}
