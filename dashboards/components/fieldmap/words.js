// What the map says in words: the legend, the tools, the tip at the pointer, the scale, and what screen readers are told.

const KEYS = "Arrows move the map, plus and minus zoom, 0 shows all; n and p choose the next and previous region, i says what lies in the middle, m measures";

function announce(view, text) {
  const live = view.root.querySelector(".fieldmap-live");
  live.textContent = live.textContent === text ? `${text}\u00a0` : text;  // said again where it is the same
}

function legend(view) {
  const box = view.root.querySelector(".fieldmap-legend"), shown = layer(view), fixed = box.querySelector(".fieldmap-fixed");
  const isFixed = Boolean(shown.fixed) && view.isFixed;
  box.querySelector(".fieldmap-bar").style.background = `linear-gradient(to right, ${shown.ramp.join(",")})`;
  box.querySelector(".fieldmap-low").textContent = isFixed ? shown.fixed[0].toFixed(shown.digits) : shown.low;
  box.querySelector(".fieldmap-high").textContent = isFixed ? said(shown.fixed[1], shown) : shown.high;
  box.querySelector(".fieldmap-title").textContent = shown.title;
  fixed.hidden = !shown.fixed;
  fixed.setAttribute("aria-pressed", String(view.isFixed));
  fixed.textContent = view.isFixed ? "Scale of all seasons" : "Scale of this season";
  const isHatched = shown.claimed && view.flags.some((flag) => flag & HATCHED);
  box.querySelector(".fieldmap-hatch").parentElement.style.display = isHatched ? "" : "none";
  box.querySelector(".fieldmap-none").parentElement.hidden = !shown.raster && !lacksData(shown);
  layerButtons(view, shown);
}

function lacksData(shown) {
  const { colours } = shown;
  for (let at = 0; at < colours.length; at += 4) if (colours[at] === 240 && colours[at + 1] === 240 && colours[at + 2] === 240) return true;
  return false;
}

function layerButtons(view, shown) {
  const bar = view.root.querySelector(".fieldmap-layers"), titles = JSON.stringify(view.layers.map((one) => one.title));
  if (view.buttons !== titles) {  // another map has other layers, though it may have as many
    view.buttons = titles;
    bar.replaceChildren(...view.layers.map((one) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = one.title;
      button.addEventListener("click", () => show(view, one.title));
      return button;
    }));
  }
  for (const button of bar.children) button.setAttribute("aria-pressed", String(button.textContent === shown.title));
}

function tools(view) {
  const { root, header } = view, draws = root.querySelector(".fieldmap-draw"), measures = root.querySelector(".fieldmap-measure");
  draws.hidden = !header.drawable;
  draws.textContent = view.mode !== "draw" ? "Draw a field" : view.asked ? `Cancel: ${header.drawing[0]}` : "Cancel drawing";
  draws.setAttribute("aria-pressed", String(view.mode === "draw"));
  root.querySelector(".fieldmap-naming").hidden = view.mode !== "draw" || Boolean(view.asked);
  measures.hidden = !view.ground;
  measures.textContent = view.mode === "measure" ? "End measuring" : "Measure";
  measures.setAttribute("aria-pressed", String(view.mode === "measure"));
  root.querySelector(".fieldmap-ground").hidden = !view.ground;
  const how = "Click the corners, double-click to end. Keys: arrows move the map under the cross, space sets a corner, Backspace takes it back, Enter ends, Escape cancels.";
  root.querySelector(".fieldmap-hint").textContent = view.mode ? [handWords(view), view.isMeasured ? "" : how].filter(Boolean).join(". ") : "";
}

// Value, unit and interval in words of what lies at a place of the map: the region's and the pixel's.
function wordsAt(view, index, x, y) {
  const shown = layer(view), label = index < 0 ? "" : view.header.labels[index], value = index < 0 ? "" : regionWords(shown, index);
  return [label, value && !label.includes(value.split(": ").at(-1)) ? value : "", pixelWords(shown, x, y)].filter(Boolean);
}

function showTip(view, lines, px, py) {
  const tip = view.root.querySelector(".fieldmap-tip");
  if (!lines.length) { tip.style.display = "none"; return; }
  if (view.tipText !== lines.join("\n")) tip.textContent = view.tipText = lines.join("\n");
  tip.style.display = "block";
  const { clientWidth, clientHeight } = view.frame, x = px + 14 + tip.offsetWidth > clientWidth ? px - 14 - tip.offsetWidth : px + 14;
  const y = py + 14 + tip.offsetHeight > clientHeight ? py - 10 - tip.offsetHeight : py + 14;
  tip.style.transform = `translate(${Math.max(x, 0)}px, ${Math.max(y, 0)}px)`;
}

function showScale(view) {
  const box = view.root.querySelector(".fieldmap-scale"), scale = scaleWords(view);
  box.hidden = !scale;
  if (!scale) return;
  box.firstElementChild.style.width = `${scale.pixels}px`;
  box.lastElementChild.textContent = scale.text;
}

function showPlace(view, text) { view.root.querySelector(".fieldmap-place").textContent = text; }

function showCredits(view) {
  const lines = (view.wants.lines && view.metres > LINES_FROM) || view.wants.names ? "Natural Earth" : "";
  view.root.querySelector(".fieldmap-credit").textContent = view.ground ? [view.tiles ? `Tiles: ${view.tiles.host}` : "", lines].filter(Boolean).join("; ") : "";
}

// The middle of the map in words, for those who have no pointer.
function sayMiddle(view) {
  const { canvas } = view, px = canvas.width / 2, py = canvas.height / 2, [x, y] = ground(transform(view), px, py);
  const lines = wordsAt(view, find(view, px, py), x, y), place = placeWords(view, x, y);
  view.isByKeys = true;
  showPlace(view, place);
  showTip(view, lines.length ? lines : ["nothing here"], px / devicePixelRatio, py / devicePixelRatio);
  announce(view, [...lines, place].filter(Boolean).join(". ") || "nothing here");
  schedule(view, "marks");
}
