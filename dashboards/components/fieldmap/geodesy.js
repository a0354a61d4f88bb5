// Lengths and areas on the ellipsoid: T. Vincenty (1975), Survey Review 23(176), 88-93, for geodesics; areas through the
// authalic latitude (J. P. Snyder (1987), USGS Professional Paper 1395, pages 16 and 17) along the geodesics' own points.

const RADIANS = Math.PI / 180;
const STEP_M = 20000;  // between the points that an edge is followed by
const MOST_STEPS = 200;

function vincentyTerms(f, cosSquared, a, b) {
  const u = cosSquared * (a * a - b * b) / (b * b);
  return {
    A: 1 + u / 16384 * (4096 + u * (-768 + u * (320 - 175 * u))), B: u / 1024 * (256 + u * (-128 + u * (74 - 47 * u))),
    C: f / 16 * cosSquared * (4 + f * (4 - 3 * cosSquared)),
  };
}

function deltaSigma(B, sinSigma, cosSigma, cos2m) {
  return B * sinSigma * (cos2m + B / 4 * (cosSigma * (2 * cos2m * cos2m - 1) - B / 6 * cos2m * (4 * sinSigma * sinSigma - 3) * (4 * cos2m * cos2m - 3)));
}

// Metres between two places in degrees and the azimuth at the first; places nearly opposite on the globe get none.
function inverse([a, f], from, to) {
  const b = a * (1 - f), L = (to[0] - from[0]) * RADIANS;
  const u1 = Math.atan((1 - f) * Math.tan(from[1] * RADIANS)), u2 = Math.atan((1 - f) * Math.tan(to[1] * RADIANS));
  const [s1, c1, s2, c2] = [Math.sin(u1), Math.cos(u1), Math.sin(u2), Math.cos(u2)];
  let lambda = L;
  for (let turn = 0; turn < 100; turn++) {
    const sinL = Math.sin(lambda), cosL = Math.cos(lambda);
    const sinSigma = Math.hypot(c2 * sinL, c1 * s2 - s1 * c2 * cosL), cosSigma = s1 * s2 + c1 * c2 * cosL;
    if (sinSigma < 1e-14) return { metres: 0, azimuth: 0 };
    const sigma = Math.atan2(sinSigma, cosSigma), sinAlpha = c1 * c2 * sinL / sinSigma, cosSquared = 1 - sinAlpha * sinAlpha;
    const cos2m = cosSquared < 1e-14 ? 0 : cosSigma - 2 * s1 * s2 / cosSquared, { A, B, C } = vincentyTerms(f, cosSquared, a, b);
    const next = L + (1 - C) * f * sinAlpha * (sigma + C * sinSigma * (cos2m + C * cosSigma * (2 * cos2m * cos2m - 1)));
    const isDone = Math.abs(next - lambda) < 1e-13;
    lambda = next;
    if (isDone) return { metres: b * A * (sigma - deltaSigma(B, sinSigma, cosSigma, cos2m)), azimuth: Math.atan2(c2 * Math.sin(lambda), c1 * s2 - s1 * c2 * Math.cos(lambda)) };
  }
  return { metres: NaN, azimuth: NaN };
}

// The place that lies so many metres from another at an azimuth.
function direct([a, f], [longitude, latitude], azimuth, metres) {
  const b = a * (1 - f), u1 = Math.atan((1 - f) * Math.tan(latitude * RADIANS)), s1 = Math.sin(u1), c1 = Math.cos(u1);
  const sinAlpha = c1 * Math.sin(azimuth), cosSquared = 1 - sinAlpha * sinAlpha, sigma1 = Math.atan2(Math.tan(u1), Math.cos(azimuth));
  const { A, B, C } = vincentyTerms(f, cosSquared, a, b), first = metres / (b * A);
  let sigma = first, cos2m = 0;
  for (let turn = 0; turn < 100; turn++) {
    cos2m = Math.cos(2 * sigma1 + sigma);
    const next = first + deltaSigma(B, Math.sin(sigma), Math.cos(sigma), cos2m);
    const isDone = Math.abs(next - sigma) < 1e-13;
    sigma = next;
    if (isDone) break;
  }
  const sin = Math.sin(sigma), cos = Math.cos(sigma), cosA = Math.cos(azimuth);
  const lambda = Math.atan2(sin * Math.sin(azimuth), c1 * cos - s1 * sin * cosA);
  const L = lambda - (1 - C) * f * sinAlpha * (sigma + C * sin * (cos2m + C * cos * (2 * cos2m * cos2m - 1)));
  const up = Math.atan2(s1 * cos + c1 * sin * cosA, (1 - f) * Math.hypot(sinAlpha, s1 * sin - c1 * cos * cosA));
  return [longitude + L / RADIANS, up / RADIANS];
}

function lengthOf(ellipsoid, places, isClosed) {
  let metres = 0;
  for (let k = 1; k < places.length + (isClosed ? 1 : 0); k++) metres += inverse(ellipsoid, places[k - 1], places[k % places.length]).metres;
  return metres;
}

// Snyder's q; the tangent of half the authalic latitude is what the spherical excess below needs.
function authalic([, f], latitude) {
  const e = Math.sqrt(f * (2 - f)), q = (sin) => (e ? (1 - e * e) * (sin / (1 - (e * sin) ** 2) - Math.log((1 - e * sin) / (1 + e * sin)) / (2 * e)) : 2 * sin);
  return { beta: Math.asin(Math.min(Math.max(q(Math.sin(latitude * RADIANS)) / q(1), -1), 1)), atPole: q(1) };
}

// Square metres within places in degrees, joined by geodesics, whichever way round they go.
function areaOf(ellipsoid, places) {
  let excess = 0;
  for (let k = 0; k < places.length; k++) {
    const from = places[k], to = places[(k + 1) % places.length], { metres, azimuth } = inverse(ellipsoid, from, to);
    if (!(metres > 0)) continue;
    const steps = Math.min(Math.ceil(metres / STEP_M), MOST_STEPS);
    let last = from;
    for (let step = 1; step <= steps; step++) {
      const next = step === steps ? to : direct(ellipsoid, from, azimuth, metres * step / steps);
      const t1 = Math.tan(authalic(ellipsoid, last[1]).beta / 2), t2 = Math.tan(authalic(ellipsoid, next[1]).beta / 2);
      excess += 2 * Math.atan2(Math.tan((next[0] - last[0]) * RADIANS / 2) * (t1 + t2), 1 + t1 * t2);
      last = next;
    }
  }
  return Math.abs(excess) * ellipsoid[0] ** 2 * authalic(ellipsoid, 0).atPole / 2;
}

function lengthWords(metres) { return metres >= 10000 ? `${(metres / 1000).toFixed(1)} km` : metres >= 1000 ? `${(metres / 1000).toFixed(2)} km` : `${metres.toFixed(metres < 100 ? 1 : 0)} m`; }

function areaWords(area) {
  const hectares = area / 10000;
  return hectares >= 100000 ? `${Math.round(hectares / 100)} km\u00b2` : hectares >= 100 ? `${hectares.toFixed(0)} ha` : `${hectares.toFixed(2)} ha`;
}
