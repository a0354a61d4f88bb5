// What is sent: u32 header length, header JSON, then JPEGs one after another. A picture is sent once under its key, and
// asked for again where the browser lost it.

const held = new Map();
const MOST_HELD = 1500;  // pictures; those that nothing shown refers to go first

function receive(bytes) {
  const copy = bytes.slice(), length = new DataView(copy.buffer).getUint32(0, true);
  const sheet = JSON.parse(new TextDecoder().decode(copy.subarray(4, 4 + length)));
  let at = 4 + length;
  for (const { key, size } of sheet.pictures) {
    if (!held.has(key)) held.set(key, URL.createObjectURL(new Blob([copy.subarray(at, at + size)], { type: "image/jpeg" })));
    at += size;
  }
  const needed = new Set(sheet.tiles.map((tile) => tile.picture).filter(Boolean));
  sheet.lacks = [...needed].some((key) => !held.has(key));
  if (held.size > MOST_HELD) for (const [key, address] of [...held]) if (!needed.has(key)) { URL.revokeObjectURL(address); held.delete(key); }
  return sheet;
}
