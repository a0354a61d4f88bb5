// What is sent: u32 header length, header JSON, padding to 4 bytes, then f32 arrays one after another. An array is sent
// once under its key, and asked for again where the browser lost it.

const held = new Map();
const MOST_HELD = 160;  // arrays; those that nothing shown refers to go first

function receive(bytes) {
  const copy = bytes.slice(), length = new DataView(copy.buffer).getUint32(0, true);
  const scene = JSON.parse(new TextDecoder().decode(copy.subarray(4, 4 + length)));
  let at = Math.ceil((4 + length) / 4) * 4;
  for (const { key, num } of scene.arrays) {
    held.set(key, new Float32Array(copy.buffer, at, num));
    at += 4 * num;
  }
  scene.lacks = scene.needs.some((key) => !held.has(key));
  if (held.size > MOST_HELD) for (const key of [...held.keys()]) if (!scene.needs.includes(key)) held.delete(key);
  return scene;
}

// The place of the last time that is not later, -1 where all are.
function before(times, at) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function nearest(times, at) {
  const low = before(times, at);
  return low + 1 < times.length && (low < 0 || times[low + 1] - at < at - times[low]) ? low + 1 : low;
}

function told(value, digits = 3) { return Number.isFinite(value) ? Number(value.toPrecision(digits)).toString().replace("-", "\u2212") : "\u2013"; }

function fixed(value, digits) { return Number.isFinite(value) ? value.toFixed(digits).replace("-", "\u2212") : "\u2013"; }
