// What the browser holds of each study, and what it asks for.
// Payload: u32 header length, header JSON, padding to 4 bytes, then the stored pixels of each slice and each plane of an
// overlay that the header lists, each padded to 4 bytes. A header without slices sends nothing again.

const volumes = new Map();  // by the key of a study's contents
const MOST_BYTES = 800e6;  // of all studies; those looked at longest ago are dropped beyond it
const CHUNK_BYTES = 4 << 20;
const LOST_MS = 10000;  // after which a chunk is asked for again

function receive(bytes) {
  const copy = bytes.slice(), length = new DataView(copy.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(copy.subarray(4, 4 + length)));
  let at = Math.ceil((4 + length) / 4) * 4;
  const take = (size) => {
    const part = copy.subarray(at, at + size);
    at = Math.ceil((at + size) / 4) * 4;
    return part;
  };
  const volume = volumes.get(header.key) || { slices: [], planes: new Map(), bytes: 0 };
  volumes.delete(header.key);
  volumes.set(header.key, volume);  // last: looked at last
  volume.header = header;
  const size = header.rows * header.columns;
  for (const one of header.slices) {
    const part = take(size * (one.colour ? 3 : one.kind === "u1" ? 1 : 2));
    one.data = one.kind === "u1" ? part : new Uint16Array(part.buffer, part.byteOffset, size);  // of i2 its bits
    if (!volume.slices[one.slice]) volume.bytes += part.length;
    volume.slices[one.slice] = one;
  }
  for (const one of header.planes) {
    one.data = take(one.box[2] * one.box[3]);
    const held = volume.planes.get(one.overlay) || new Map();
    volume.planes.set(one.overlay, held.set(one.slice, one));
    volume.bytes += one.data.length;
  }
  forget(header.key);
  return { volume, isNews: header.slices.length + header.planes.length > 0 };
}

function forget(kept) {
  let total = 0;
  for (const volume of volumes.values()) total += volume.bytes;
  for (const [key, volume] of volumes) {
    if (total <= MOST_BYTES || key === kept) return;
    total -= volume.bytes;
    volumes.delete(key);
  }
}

// Slices that the browser lacks, the nearest to the one shown first, and planes likewise.
function missing(view) {
  const { volume, slice } = view, { count, rows, columns, overlays } = volume.header;
  const most = Math.max(Math.floor(CHUNK_BYTES / (2 * rows * columns)), 1);
  const order = Array.from({ length: count }, (_, index) => index).sort((a, b) => Math.abs(a - slice) - Math.abs(b - slice));
  const slices = order.filter((index) => !volume.slices[index]).slice(0, most);
  const planes = [];
  for (const overlay of overlays) {
    const held = volume.planes.get(overlay.key);
    const near = overlay.held.filter((index) => !held?.has(index)).sort((a, b) => Math.abs(a - slice) - Math.abs(b - slice));
    planes.push(...near.slice(0, 4 * most).map((index) => [overlay.key, index]));
  }
  return { slices, planes: planes.slice(0, 4 * most) };
}

function ask(view) {
  clearTimeout(view.retry);
  const { slices, planes } = missing(view);
  view.canvas.dataset.held = view.volume.slices.filter(Boolean).length;
  if (!slices.length && !planes.length) return;
  view.retry = setTimeout(() => ask(view), LOST_MS);
  if (view.waiting) return;  // an act that is not taken yet would be lost
  view.trigger("wanted", JSON.stringify({ key: view.volume.header.key, slices, planes }));
}
