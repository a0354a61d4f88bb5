// Colours: of regions along a layer's ramp, and pictures of rasters. A part of kind "pixels" holds a raster's codes u8, 0
// nothing and 1-255 along the layer's ramp, and, where the layer says so, those of its interval's lower and upper ends.

const pictures = new Map();
const KEPT_PICTURES = 24;

function rgb(text) { return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)); }

function along(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
  return [0, 1, 2].map((band) => stops[low][band] + (at - low) * (stops[low + 1][band] - stops[low][band]));
}

// A layer has ends of its own, and may have others that hold for all seasons; which of them are used is one switch for all.
function endsOf(view, shown) { return shown.fixed && view.isFixed ? shown.fixed : shown.ends; }

function coloursOf(view, shown) {
  if (!shown.values || !shown.fixed || !view.isFixed) return shown.colours;
  if (shown.fixedColours) return shown.fixedColours;
  const stops = shown.ramp.map(rgb), [low, high] = shown.fixed, { values } = shown, found = new Uint8ClampedArray(4 * values.length);
  for (let i = 0; i < values.length; i++) {
    const colour = Number.isFinite(values[i]) ? along(stops, (values[i] - low) / Math.max(high - low, 1e-12)) : [240, 240, 240];
    found.set(colour, 4 * i);
    found[4 * i + 3] = 255;
  }
  return (shown.fixedColours = found);
}

function pictureOf(view, shown) {
  const ends = endsOf(view, shown), key = JSON.stringify([shown.raster.key, shown.ramp, shown.ends, ends]);
  if (!pictures.has(key)) pictures.set(key, picture(parts.get(shown.raster.key), shown, ends));
  const found = pictures.get(key);
  pictures.delete(key);
  pictures.set(key, found);
  while (pictures.size > KEPT_PICTURES) pictures.delete(pictures.keys().next().value);
  return found;
}

function picture(codes, { raster, ramp, ends }, shownEnds) {
  const stops = ramp.map(rgb), table = new Uint8ClampedArray(256 * 4);
  for (let code = 1; code < 256; code++) {
    const share = (code - 1) / 254;
    table.set(along(stops, ends ? (ends[0] + share * (ends[1] - ends[0]) - shownEnds[0]) / Math.max(shownEnds[1] - shownEnds[0], 1e-12) : share), 4 * code);
    table[4 * code + 3] = 255;
  }
  const canvas = document.createElement("canvas");
  canvas.width = raster.width;
  canvas.height = raster.height;
  const pen = canvas.getContext("2d"), image = pen.createImageData(raster.width, raster.height);
  const from = new Uint32Array(table.buffer), to = new Uint32Array(image.data.buffer);
  for (let i = 0; i < to.length; i++) to[i] = from[codes[i]];
  pen.putImageData(image, 0, 0);
  return canvas;
}

function said(value, shown) { return `${value.toFixed(shown.digits)}${shown.unit ? ` ${shown.unit}` : ""}`; }

// What a raster holds at a place, in words; "" where it holds nothing or its values are not known here.
function pixelWords(shown, x, y) {
  const { raster, ends } = shown;
  if (!raster || !ends) return "";
  const [left, bottom, right, top] = raster.bounds;
  const column = Math.floor(((x - left) / (right - left)) * raster.width), row = Math.floor(((top - y) / (top - bottom)) * raster.height);
  if (column < 0 || row < 0 || column >= raster.width || row >= raster.height) return "";
  const codes = parts.get(raster.key), at = row * raster.width + column, size = raster.width * raster.height;
  if (!codes || !codes[at]) return `${shown.title}: nothing known here`;
  const value = (code) => ends[0] + ((code - 1) / 254) * (ends[1] - ends[0]);
  const bound = codes[at] === 1 ? " or less" : codes[at] === 255 ? " or more" : "";
  const words = `${shown.title}: ${said(value(codes[at]), shown)}${shown.bounded ? "" : bound}`;
  if (!raster.level || !codes[size + at]) return words;
  return `${words}, ${Math.round(100 * raster.level)} % between ${value(codes[size + at]).toFixed(shown.digits)} and ${value(codes[2 * size + at]).toFixed(shown.digits)}`;
}

function regionWords(shown, index) {
  const value = shown.values ? shown.values[index] : NaN;
  return Number.isFinite(value) ? `${shown.title}: ${said(value, shown)}` : "";
}
