// Buttons, words and the table twin; every text of data is set as text.

const REST_MS = 500;  // after which what is seen is said to screen readers

function element(kind, text, attributes = {}) {
  const made = document.createElement(kind);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function button(label, key, onClick, attributes = {}) {
  const made = element("button", label, { type: "button", ...attributes });
  if (key) made.append(element("kbd", key));
  made.addEventListener("click", onClick);
  return made;
}

function tools(view) {
  const { windows } = view.volume.header;
  view.root.querySelector(".reader-tools").replaceChildren(
    ...TOOLS.map(([name, label, key]) => button(label, key, () => setTool(view, name), { "data-tool": name, "aria-pressed": String(view.tool === name) })),
    button("Fit", "f", () => fit(view)), button("+", "", () => zoomBy(view, 1.25), { "aria-label": "Zoom in" }), button("−", "", () => zoomBy(view, 0.8), { "aria-label": "Zoom out" }),
    button("?", "", () => help(view), { "aria-label": "Keys" }),
  );
  view.root.querySelector(".reader-windows").replaceChildren(...windows.map((one) => button(
    one.name, one.key, () => setWindow(view, one.width, one.level, one.name), { "data-name": one.name, "aria-pressed": String(view.window.name === one.name) },
  )));
  overlayTools(view);
  const bar = view.root.querySelector(".reader-bar"), more = view.root.querySelector(".reader-more");
  more.onclick = () => more.setAttribute("aria-expanded", String(bar.classList.toggle("is-open")));
}

function overlayTools(view) {
  const { overlays } = view.volume.header, box = view.root.querySelector(".reader-overlays");
  box.replaceChildren(...overlays.flatMap((overlay) => {
    const shown = view.shown.get(overlay.key), isMask = overlay.names.length > 0, key = { mask: "x", heatmap: "h", contours: "c" }[overlay.kind];
    const slider = element("input", "", { type: "range", min: "0", max: "1", step: "0.05", value: String(shown.opacity), "aria-label": `Opacity of ${overlay.title}` });
    slider.addEventListener("input", () => { shown.opacity = Number(slider.value); schedule(view); });
    const legend = element("div", "", { class: "reader-legend" });
    legend.append(...overlay.names.map((name, index) => structure(view, overlay, name, index)), slider);
    const flip = () => { shown.on = !shown.on; overlayTools(view); schedule(view); };
    return [button(overlay.title, key, flip, { "aria-pressed": String(shown.on) }), legend];
  }));
}

// A tick for a structure, which puts it on and off.
function structure(view, overlay, name, index) {
  const { off } = view.shown.get(overlay.key), line = element("label", ""), swatch = element("span", "", { class: "reader-swatch" });
  const tick = element("input", "", { type: "checkbox" });
  tick.checked = !off.has(index + 1);
  tick.addEventListener("change", () => { if (!off.delete(index + 1)) off.add(index + 1); schedule(view); });
  swatch.style.background = colourOf(view.volume.header, overlay, index);
  line.append(tick, swatch, name);
  return line;
}

function panel(view) {
  const { title, lines, folded, acts } = view.volume.header.panel, box = view.root.querySelector(".reader-panel");
  box.classList.toggle("is-folded", view.isFolded);
  if (!title) { box.replaceChildren(); return; }
  const head = element("h3", title);
  head.append(button(view.isFolded ? "Show" : "Hide", "i", () => fold(view)));
  const row = element("div", "", { class: "reader-acts" });
  row.append(...acts.map(([name, label, key]) => button(label, key, () => act(view, name))));
  const said = ([state, text]) => element("p", text, state ? { class: state } : {});
  box.replaceChildren(head, ...lines.map(said), ...(folded.length ? [reasons(folded)] : []), row);
}

// Why models do not apply to a study: one line, which opens.
function reasons(folded) {
  const box = element("details", "", { class: "reader-why" });
  const line = element("summary", folded.length === 1 ? "1 model does not apply: why" : `${folded.length} models do not apply: why`);
  line.append(element("kbd", "y"));
  box.append(line, ...folded.map((text) => element("p", text, { class: "quiet" })));
  return box;
}

function why(view) {
  const box = view.root.querySelector(".reader-why");
  if (box) box.open = !box.open;
}

function valueAt(view, point) {
  const one = view.volume.slices[view.slice], { columns, rows, unit } = view.volume.header;
  const column = Math.floor(point.x), row = Math.floor(point.y);
  if (!one || one.colour || column < 0 || row < 0 || column >= columns || row >= rows) return "";
  const bits = one.data[row * columns + column], stored = one.kind === "i2" ? (bits << 16) >> 16 : bits;
  return `${number(one.slope * stored + one.intercept)} ${unit}`.trim() + ` at column ${column + 1}, row ${row + 1}`;
}

// Four digits, or all before the point, from 10 000 on in groups of three.
function number(value) {
  const told = Number.isInteger(value) || Math.abs(value) >= 1000 ? String(Math.round(value)) : value.toPrecision(4).replace(/\.?0+$/, "");
  return Math.abs(value) >= 1e4 ? told.replace(/\B(?=(\d{3})+$)/g, "\u202f") : told;
}

// Pixels of the screen along one of the picture's columns; not how much larger than the patient, whom a screen's size hides.
function enlargement(view) {
  const { x } = place(view);
  return `${x >= 10 ? Math.round(x) : Number(x.toPrecision(2))} times`;
}

// What is seen, in words: for the status line, for the table, for screen readers.
function words(view) {
  const { count, positions, unit, spacing, overlays } = view.volume.header, { width, level, name } = view.window;
  const where = positions.length ? ` at ${positions[view.slice].toFixed(1)} mm` : "";
  const measured = measuresHere(view).map((one) => length(view, one.ends));
  return [
    ["Slice", `${view.slice + 1} of ${count}${where}`],
    ["Window", `${number(width)}, level ${number(level)}${unit ? ` ${unit}` : ""} (${name})`],
    ["Enlarged", enlargement(view)],
    ["Measured", measured.join("; ") || (spacing ? "nothing" : "nothing; no millimetres, as the spacing is not known")],
    ["Overlays", overlays.filter((one) => view.shown.get(one.key).on).map((one) => `${one.title}, ${Math.round(100 * view.shown.get(one.key).opacity)} %`).join("; ") || "none shown"],
  ];
}

function tell(view) {
  const told = words(view), named = Object.fromEntries(told), under = view.hover ? valueAt(view, view.hover) : "";
  const parts = [`Slice ${named.Slice}`, `window ${named.Window}`, `enlarged ${named.Enlarged}`];
  if (measuresHere(view).length) parts.push(named.Measured);
  if (under) parts.push(under);
  const status = parts.join(" · ");
  if (view.status.textContent !== status) view.status.textContent = status;
  view.slider.value = String(view.slice + 1);
  clearTimeout(view.resting);
  view.resting = setTimeout(() => {
    view.root.querySelector(".reader-said").textContent = told.map(([name, text]) => `${name}: ${text}`).join(". ");
    view.root.querySelector(".reader-twin tbody").replaceChildren(...told.map(([name, text]) => {
      const row = document.createElement("tr");
      row.append(element("th", name, { scope: "row" }), element("td", text));
      return row;
    }));
  }, REST_MS);
}
