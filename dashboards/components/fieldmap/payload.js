// What the page sends: u32 header length, header JSON; then, each from a multiple of 8 bytes on, rgba u8 (4 a region) of
// every layer, flags u8 (1 a region), values f32 (1 a region) of the layers that have them, and the parts that the page
// sends once under a key of their contents. A part is laid out as shapes.js, ground.js and pixels.js say.

const parts = new Map();
const KEPT = 64;  // parts, as many as the page believes us to hold
const READERS = { shapes: (chunk) => shapesOf(chunk), ground: (chunk) => groundOf(chunk), pixels: (chunk) => chunk.slice() };

function opened(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset), length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  let at = 4 + length;
  const take = (size) => {
    at = Math.ceil(at / 8) * 8;
    at += size;
    return bytes.subarray(at - size, at);
  };
  return { header, take };
}

function typed(Kind, chunk) { return new Kind(chunk.buffer, chunk.byteOffset, chunk.byteLength / Kind.BYTES_PER_ELEMENT); }

function read(data) {
  const { header, take } = opened(data.slice());  // a copy begins at 0, as typed arrays need it
  const layers = header.layers.map((layer) => ({ ...layer, colours: take(4 * header.regions) }));
  const flags = take(header.regions);
  for (const layer of layers) if (layer.valued) layer.values = typed(Float32Array, take(4 * header.regions));
  for (const { key, kind, size } of header.parts) keep(key, READERS[kind](take(size)));
  const lacking = header.needs.filter((key) => !parts.has(key));
  for (const key of header.needs) if (parts.has(key)) keep(key, parts.get(key));  // used last
  while (parts.size > Math.max(KEPT, header.needs.length)) parts.delete(parts.keys().next().value);
  return { header, layers, flags, lacking };
}

function keep(key, part) {
  parts.delete(key);
  parts.set(key, part);
}
