// What an image says of itself, as medsr_course.physics (grid, noise, noise_head, bands) tells it of one slice.
// Images are Float64Arrays, h × w, rows one after the other. Needs fourier.js.

const BAND_GRID = Float64Array.from({ length: 99 }, (_, k) => 0.02 + (0.98 * k) / 98); // of the Nyquist frequency
// Daubechies 4: the analysis low-pass filter. The high-pass one is its mirror, every other sign turned.
const DB4_LOW = [-0.010597401785069032, 0.0328830116668852, 0.030841381835560764, -0.18703481171909309,
  -0.027983769416859854, 0.6308807679298589, 0.7148465705529157, 0.2303778133088965];
const DB4_HIGH = DB4_LOW.map((_, k) => (k % 2 ? 1 : -1) * DB4_LOW[7 - k]);

function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort(), at = ((sorted.length - 1) * percent) / 100;
  const low = Math.floor(at), high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

// Python's round: halves to the even neighbour.
function roundEven(x) {
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 ? low : rest > 0.5 ? low + 1 : low % 2 ? low + 1 : low;
}

function interpolate(at, xs, ys) {
  if (at <= xs[0]) return ys[0];
  for (let k = 1; k < xs.length; k++) {
    if (at <= xs[k]) return ys[k - 1] + ((ys[k] - ys[k - 1]) * (at - xs[k - 1])) / (xs[k] - xs[k - 1]);
  }
  return ys[xs.length - 1];
}

// Offset and scale of a network's range: grid.intensity.
function intensity(image) {
  const low = percentile(image, 0.5), high = percentile(image, 99.5);
  if (low < -0.1 * Math.max(high, 0)) return [low, high - low];
  const positive = image.filter((v) => v > 0);
  return [0, positive.length ? percentile(positive, 99.5) : 0];
}

// Where an index beyond the border lies: "reflect" repeats the last sample (d c b a | a b c d), "mirror" does not.
function reflected(i, n, mirror) {
  if (n === 1) return 0;
  const period = mirror ? 2 * n - 2 : 2 * n;
  i = ((i % period) + period) % period;
  return i < n ? i : period - i - (mirror ? 0 : 1);
}

// Correlation of both axes with a kernel; `start`: where its first tap lies.
function filtered(image, h, w, kernel, start, mirror) {
  const along = new Float64Array(h * w), out = new Float64Array(h * w);
  for (let x = 0; x < w; x++) {
    const from = kernel.map((_, k) => reflected(x + start + k, w, mirror));
    for (let y = 0; y < h; y++) {
      let sum = 0;
      for (let k = 0; k < kernel.length; k++) sum += kernel[k] * image[y * w + from[k]];
      along[y * w + x] = sum;
    }
  }
  for (let y = 0; y < h; y++) {
    const from = kernel.map((_, k) => w * reflected(y + start + k, h, mirror));
    for (let x = 0; x < w; x++) {
      let sum = 0;
      for (let k = 0; k < kernel.length; k++) sum += kernel[k] * along[from[k] + x];
      out[y * w + x] = sum;
    }
  }
  return out;
}

function gaussian(image, h, w, sigma) {
  const radius = Math.floor(4 * sigma + 0.5);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, k) => Math.exp(-((k - radius) ** 2) / (2 * sigma ** 2)));
  const sum = kernel.reduce((a, b) => a + b);
  return filtered(image, h, w, kernel.map((v) => v / sum), -radius, false);
}

// The mask grown by one pixel in all eight directions, `times` over.
function dilated(mask, h, w, times) {
  for (let round = 0; round < times; round++) {
    const out = new Uint8Array(h * w);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        if (!mask[y * w + x]) continue;
        for (let j = Math.max(0, y - 1); j <= Math.min(h - 1, y + 1); j++) {
          for (let i = Math.max(0, x - 1); i <= Math.min(w - 1, x + 1); i++) out[j * w + i] = 1;
        }
      }
    }
    mask = out;
  }
  return mask;
}

// The mask shrunk by `times` pixels; beyond the border it is empty.
function eroded(mask, h, w, times) {
  const wide = w + 2 * times, tall = h + 2 * times, outside = new Uint8Array(tall * wide).fill(1);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) outside[(y + times) * wide + x + times] = mask[y * w + x] ? 0 : 1;
  }
  const grown = dilated(outside, tall, wide, times), out = new Uint8Array(h * w);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) out[y * w + x] = grown[(y + times) * wide + x + times] ? 0 : 1;
  }
  return out;
}

function withoutHoles(mask, h, w) {
  const outside = new Uint8Array(h * w), stack = [];
  function visit(y, x) {
    if (y < 0 || x < 0 || y >= h || x >= w || mask[y * w + x] || outside[y * w + x]) return;
    outside[y * w + x] = 1;
    stack.push(y * w + x);
  }
  for (let y = 0; y < h; y++) { visit(y, 0); visit(y, w - 1); }
  for (let x = 0; x < w; x++) { visit(0, x); visit(h - 1, x); }
  while (stack.length) {
    const at = stack.pop(), y = Math.floor(at / w), x = at % w;
    visit(y - 1, x); visit(y + 1, x); visit(y, x - 1); visit(y, x + 1);
  }
  return outside.map((v) => 1 - v);
}

// bands.inside: the head, four pixels from its border.
function insideHead(image, h, w, level) {
  const soft = gaussian(image, h, w, 2);
  return eroded(withoutHoles(Uint8Array.from(soft, (v) => (v > 0.15 * level ? 1 : 0)), h, w), h, w, 4);
}

function count(mask) {
  let sum = 0;
  for (const v of mask) sum += v;
  return sum;
}

function transposed(image, h, w) {
  const out = new image.constructor(h * w);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) out[x * h + y] = image[y * w + x];
  return out;
}

// bands.filled: which part of the band along the rows' axis (0) holds power; 1 where its end shows no step.
function filledBand(image, head, h, w) {
  return h < 24 || count(head) < 200 ? 1 : bandEnd(bandSpectrum(image, head, h, w));
}

function bandSpectrum(image, head, h, w) {
  const weight = gaussian(Float64Array.from(head), h, w, 2), soft = gaussian(image, h, w, 3);
  const { re, im } = fourier2(image.map((v, k) => (v - soft[k]) * weight[k]), h, w);
  const along = new Float64Array(h);
  let used = 0;
  for (let x = 0; x < w; x++) {
    const across = Math.min(x, w - x) / w;
    if (across <= 0.05 || across >= 0.24) continue;
    used++;
    for (let y = 0; y < h; y++) along[y] += re[y * w + x] ** 2 + im[y * w + x] ** 2;
  }
  const half = h >> 1, xs = [], both = [];
  for (let k = 1; k <= half; k++) {
    xs.push(k / (h / 2));
    both.push((along[k] + along[h - k]) / 2 / used);
  }
  const curve = BAND_GRID.map((at) => interpolate(at, xs, both)), most = Math.max(...curve);
  return curve.map((_, k) => {
    const mean = (curve[Math.max(0, k - 1)] + curve[k] + curve[Math.min(98, k + 1)]) / 3;
    return 10 * Math.log10(mean + 1e-14 * most + 1e-300);
  });
}

function mean(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function bandEnd(curve) {
  let best = 5, end = 1;
  const last = BAND_GRID.findIndex((v) => v >= 0.86);
  for (let i = 30; i < last; i++) {
    let slope = 0;
    for (let k = 0; k < 23; k++) slope += ((k - 11) * curve[i - 25 + k]) / 1012; // 1012: sum of (k − 11)²
    const before = mean(curve.subarray(i - 7, i - 1)), after = mean(curve.subarray(i + 4, i + 10));
    const step = before - after + 11 * Math.min(slope, 0);
    const fall = (after - mean(curve.subarray(-4))) / (curve.length - i - 9);
    const floor = step > 13 || fall < (0.6 * (before - after)) / 11;
    if (step > best && floor && Math.max(...curve.subarray(i + 4)) < before - 0.6 * step) {
      best = step;
      end = BAND_GRID[i] - 0.02;
    }
  }
  return end;
}

function logGamma(x) { // Lanczos, g = 7
  const c = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const t = x + 6.5;
  const sum = c.reduce((a, v, k) => (k ? a + v / (x - 1 + k) : v));
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

// The value below which a part p of a gamma distribution of shape n lies, by halving an interval.
function gammaQuantile(n, p) {
  function below(x) {
    let term = Math.exp(-x + n * Math.log(x) - logGamma(n + 1)), sum = term;
    for (let k = 1; k < 2000 && term > 1e-17 * sum; k++) sum += term *= x / (n + k);
    return sum;
  }
  let low = 0, high = n + 20 * Math.sqrt(n) + 20;
  for (let k = 0; k < 100; k++) {
    const middle = (low + high) / 2;
    if (below(middle) < p) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

const COUNTS = Array.from({ length: 2000 }, (_, k) => 0.25 * 512 ** (k / 1999));
const RATIOS = COUNTS.map((n) => Math.exp(2 * (logGamma(n + 0.5) - logGamma(n))) / n);

// noise._coils_of
function coilsOf(values) {
  return interpolate(mean(values) ** 2 / meanSquare(values), RATIOS, COUNTS);
}

function meanSquare(values) {
  return mean(values.map((v) => v * v));
}

// noise._quiet: the values of the air where it holds noise alone.
function quietAir(image, near, h, w) {
  const power = filtered(image.map((v) => v * v), h, w, new Array(7).fill(1 / 7), -3, false);
  const inner = dilated(near, h, w, 3).map((v, k) => (v || power[k] <= 0 ? 0 : 1));
  let values = image.filter((_, k) => !near[k]), n = 1;
  if (count(inner) < 200) return values;
  const lowest = percentile(power.filter((_, k) => inner[k]), 20);
  for (let round = 0; round < 3; round++) {
    const most = lowest * (1 + 8 / (7 * Math.sqrt(n)));
    values = image.filter((_, k) => inner[k] && power[k] <= most);
    n = Math.max(coilsOf(values), 1);
  }
  return values;
}

// noise._from_air: {coils, sigma}, or null where the air says nothing.
function noiseOfAir(image, h, w, level) {
  const soft = gaussian(image, h, w, 1.5), enough = Math.max(200, 0.005 * h * w);
  const near = dilated(Uint8Array.from(soft, (v) => (v > 0.25 * level ? 1 : 0)), h, w, 6);
  const all = image.filter((_, k) => !near[k]);
  const empty = (values) => values.length < enough || values.filter((v) => v === 0).length > 0.3 * values.length;
  if (empty(all)) return null;
  const air = quietAir(image, near, h, w);
  if (empty(air)) return null;
  const coils = coilsOf(air);
  const [low, middle, high] = [25, 50, 75].map((p) => percentile(air, p));
  const [a, b, c] = [0.25, 0.5, 0.75].map((p) => Math.sqrt(gammaQuantile(coils, p)));
  const shape = (((high - low) / middle) * b) / (c - a);
  const sigma = Math.sqrt(meanSquare(air) / (2 * coils));
  return coils < 0.75 || !(shape > 0.8 && shape < 1.25) ? null : { coils, sigma };
}

// noise_head.bounds: [at least, most likely, at most], or null where too little is seen.
function noiseOfHead(image, head, h, w) {
  if (count(head) < 200) return null;
  const spread = [];
  for (let k = 0; k < 22; k++) { // the high-pass filter of the next octave
    let sum = 0;
    for (let j = 0; j < 8; j++) if (2 * j <= k && k - 2 * j < 8) sum += DB4_HIGH[j] * DB4_LOW[k - 2 * j];
    spread.push(sum);
  }
  const [fine, coarse] = [[DB4_HIGH, 0.503], [spread, 0.428]].map(([kernel, alone]) => {
    const details = filtered(image, h, w, kernel.slice().reverse(), 1 - kernel.length / 2, true);
    const square = gaussian(details.map((v) => v * v), h, w, 2).filter((_, k) => head[k]);
    return Math.sqrt(percentile(square, 3) / alone);
  });
  const found = [0.5, 0.38, 0.2].map((t) => Math.sqrt(Math.max(fine ** 2 - (t * coarse) ** 2, 0) / (1 - t ** 2)));
  return [found[0], found[1], Math.max(...found)];
}

// noise.estimate of one slice: {kind, sigma, coils, native, between}; null for what is not known.
function noiseOf(image, h, w) {
  const nothing = { kind: "unknown", sigma: null, coils: null, native: [1, 1], between: null };
  if (image.every((v) => v === image[0])) return { ...nothing, kind: "none", sigma: 0, between: [0, 0] };
  const [offset, level] = intensity(image);
  if (offset || level <= 0 || Math.min(h, w) < 32) return nothing;
  const head = insideHead(image, h, w, level);
  const native = [filledBand(image, head, h, w), filledBand(transposed(image, h, w), transposed(head, h, w), w, h)];
  const air = noiseOfAir(image, h, w, level), coils = air && air.coils;
  let sigma = air && air.sigma, between = air && [sigma, sigma];
  if (!air) {
    let [inner, mask, rows, columns] = [image, head, h, w];
    if (Math.min(...native) < 1) {
      [rows, columns] = [h, w].map((side, k) => Math.max(roundEven(side * native[k]), 8));
      inner = resizeImage(image, h, w, rows, columns);
      mask = insideHead(inner, rows, columns, level);
    }
    const found = noiseOfHead(inner, mask, rows, columns);
    if (found) {
      between = [found[0], found[2]];
      sigma = found[0] > 0.6 * found[2] ? found[1] : null;
    }
  }
  let kind = Math.min(...native) < 1 ? "interpolated" : coils === null ? "unknown" : coils < 1.5 ? "rician" : "chi";
  if (coils !== null && sigma < 0.0025 * level) kind = "none";
  return { kind, sigma, coils, native, between };
}
