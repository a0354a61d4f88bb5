// Tiles of the user's own server (OGC 07-057r7, WMTS: RESTful or key-value addresses with {TileMatrix}, {TileRow} and
// {TileCol}, or {z}, {y} and {x}), in a Web Mercator matrix set; nothing is asked for until an address is given and ticked.

const TILE_PX = 256;
const CELL_PX = 48;  // of the window within which a tile is drawn without a bend
const MOST_TILES = 256, MOST_LEVEL = 20;
const images = new Map();

// The address with {z}, {x} and {y}, or in what it is wanting.
function tileAddress(text) {
  const address = text.trim().replace(/\{TileMatrix\}/gi, "{z}").replace(/\{TileRow\}/gi, "{y}").replace(/\{TileCol\}/gi, "{x}");
  if (!address) return { why: "Give the address of your tile server." };
  if (!/^https?:\/\//.test(address)) return { why: "The address must begin with https:// or http://." };
  const absent = ["{z}", "{y}", "{x}"].filter((one) => !address.includes(one));
  if (absent.length) return { why: "The address must hold {TileMatrix}, {TileRow} and {TileCol}, or {z}, {y} and {x}, of a Web Mercator matrix set." };
  try { return { address, host: new URL(address.replace(/[{}]/g, "")).host }; } catch { return { why: "The address is none that a browser can open." }; }
}

function tileAt(view, z, x, y) {
  const num = 2 ** z;
  if (y < 0 || y >= num) return null;
  const key = view.tiles.address.replaceAll("{z}", z).replaceAll("{y}", y).replaceAll("{x}", ((x % num) + num) % num);
  let image = images.get(key);
  if (!image) {
    image = new Image();
    image.referrerPolicy = "no-referrer";
    image.onload = () => schedule(view, "under");
    image.onerror = () => { image.isLost = true; tilesFailed(view); };
    image.src = key;
  }
  images.delete(key);
  images.set(key, image);
  while (images.size > MOST_TILES) images.delete(images.keys().next().value);
  return image.complete && !image.isLost && image.naturalWidth ? image : null;
}

function mercator(view, t, px, py, size) {
  const at = lonlat(view, ...ground(t, px, py));
  if (!at) return null;
  const sin = Math.sin(Math.min(Math.max(at[1], -85.05), 85.05) * RADIANS);
  return [(at[0] / 360 + 0.5) * size, (0.5 - Math.log((1 + sin) / (1 - sin)) / (4 * Math.PI)) * size];
}

function drawTiles(view, pen, t) {
  const { canvas } = view, middle = lonlat(view, ...ground(t, canvas.width / 2, canvas.height / 2));
  if (!middle || !(view.metres > 0)) return;
  const finest = Math.log2(156543.034 * Math.cos(middle[1] * RADIANS) / view.metres * devicePixelRatio);
  const z = Math.min(Math.max(Math.round(finest), 0), MOST_LEVEL), size = TILE_PX * 2 ** z, cell = CELL_PX * devicePixelRatio;
  for (let top = 0; top < canvas.height; top += cell) {
    for (let left = 0; left < canvas.width; left += cell) {
      const corners = [[0, 0], [cell, 0], [0, cell], [cell, cell]].map(([x, y]) => mercator(view, t, left + x, top + y, size));
      if (corners.every(Boolean)) drawCell(view, pen, z, left, top, cell, corners);
    }
  }
}

function drawCell(view, pen, z, left, top, cell, corners) {
  const base = corners[0].map((one) => Math.floor(one / TILE_PX) * TILE_PX);  // small numbers: matrices hold 24 bits
  const [a, b, c, d] = corners.map(([u, v]) => [u - base[0], v - base[1]]);
  const ux = (b[0] - a[0]) / cell, uy = (b[1] - a[1]) / cell, vx = (c[0] - a[0]) / cell, vy = (c[1] - a[1]) / cell, det = ux * vy - uy * vx;
  if (!det) return;
  const [m11, m12, m21, m22] = [vy / det, -uy / det, -vx / det, ux / det], xs = ends([a[0], b[0], c[0], d[0]]), ys = ends([a[1], b[1], c[1], d[1]]);
  pen.save();
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.beginPath();
  pen.rect(left, top, cell + 0.5, cell + 0.5);
  pen.clip();
  pen.setTransform(m11, m12, m21, m22, left - m11 * a[0] - m21 * a[1], top - m12 * a[0] - m22 * a[1]);
  for (let x = Math.floor(xs[0] / TILE_PX); x * TILE_PX < xs[1]; x++) {
    for (let y = Math.floor(ys[0] / TILE_PX); y * TILE_PX < ys[1]; y++) {
      const image = tileAt(view, z, x + base[0] / TILE_PX, y + base[1] / TILE_PX);
      if (image) pen.drawImage(image, x * TILE_PX, y * TILE_PX, TILE_PX, TILE_PX);
    }
  }
  pen.restore();
}

function tilesFailed(view) { view.root.querySelector(".fieldmap-tiles-why").textContent = `${view.tiles ? view.tiles.host : "The server"} did not give a tile.`; }
