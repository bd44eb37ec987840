// Whether a slice resembles a head: medsr_course.physics.likeness, ten numbers of a slice and how far they lie from
// those of heads (medsrHeads: mean, inverse covariance, limit). Needs fourier.js and measuring.js.

const IN_HEAD = 0.06; // parts of the intensity scale

// The largest part (four neighbours) of a mask.
function largestPart(mask, h, w) {
  const label = new Int32Array(h * w), sizes = [0];
  for (let first = 0; first < h * w; first++) {
    if (!mask[first] || label[first]) continue;
    const mark = sizes.length, stack = [first];
    sizes.push(0);
    label[first] = mark;
    while (stack.length) {
      const at = stack.pop(), x = at % w;
      sizes[mark]++;
      const next = [x > 0 ? at - 1 : -1, x < w - 1 ? at + 1 : -1, at - w, at + w];
      for (const k of next) if (k >= 0 && k < h * w && mask[k] && !label[k]) { label[k] = mark; stack.push(k); }
    }
  }
  if (sizes.length === 1) return null;
  const best = sizes.indexOf(Math.max(...sizes.slice(1)), 1);
  return Uint8Array.from(label, (v) => (v === best ? 1 : 0));
}

// The mask shrunk `times` over by the pixels with a neighbour, of four, outside; beyond the border it is empty.
function shrunk(mask, h, w, times) {
  for (let round = 0; round < times; round++) {
    const before = mask, at = (y, x) => (y < 0 || x < 0 || y >= h || x >= w ? 0 : before[y * w + x]);
    mask = before.map((v, k) => {
      const y = Math.floor(k / w), x = k % w;
      return v && at(y - 1, x) && at(y + 1, x) && at(y, x - 1) && at(y, x + 1) ? 1 : 0;
    });
  }
  return mask;
}

// Size of the gradient after a Gaussian of σ.
function gradient(image, h, w, sigma) {
  const radius = Math.floor(4 * sigma + 0.5), at = Array.from({ length: 2 * radius + 1 }, (_, k) => k - radius);
  const bell = at.map((t) => Math.exp(-(t * t) / (2 * sigma * sigma))), sum = bell.reduce((a, b) => a + b);
  const smooth = bell.map((v) => v / sum), slope = at.map((t, k) => (t * smooth[k]) / sigma ** 2);
  function along(source, rows, columns, kernel) { // of the columns' axis
    const out = new Float64Array(rows * columns);
    for (let x = 0; x < columns; x++) {
      const from = kernel.map((_, k) => reflected(x - radius + k, columns, false));
      for (let y = 0; y < rows; y++) {
        let value = 0;
        for (let k = 0; k < kernel.length; k++) value += kernel[k] * source[y * columns + from[k]];
        out[y * columns + x] = value;
      }
    }
    return out;
  }
  const down = (source, kernel) => transposed(along(transposed(source, h, w), w, h, kernel), w, h);
  const dx = down(along(image, h, w, slope), smooth), dy = down(along(image, h, w, smooth), slope);
  return dx.map((v, k) => Math.hypot(v, dy[k]));
}

function correlation(a, b) {
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((v, k) => { ab += (v - ma) * (b[k] - mb); aa += (v - ma) ** 2; bb += (b[k] - mb) ** 2; });
  return aa && bb ? ab / Math.sqrt(aa * bb) : 0;
}

// likeness._slope: power of frequency that the spectrum falls with.
function spectrumSlope(image, h, w) {
  const { re, im } = fourier2(image, h, w), edges = Array.from({ length: 13 }, (_, k) => 0.1 * 8 ** (k / 12));
  const sums = new Float64Array(14), counts = new Float64Array(14);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x <= w >> 1; x++) {
      const radius = 2 * Math.hypot(Math.min(y, h - y) / h, x / w), place = edges.filter((edge) => edge <= radius).length;
      sums[place] += re[y * w + x] ** 2 + im[y * w + x] ** 2;
      counts[place]++;
    }
  }
  const curve = Array.from({ length: 12 }, (_, k) => Math.log(sums[k + 1] / counts[k + 1] + 1e-12));
  let slope = 0;
  curve.forEach((v, k) => { slope += ((k - 5.5) * v) / 143; }); // 143: sum of (k − 5.5)²
  return slope / (Math.log(8) / 12);
}

// likeness._shape: overlap with the ellipse of equal second moments, and likeness to the mirror image.
function shapeOf(whole, soft, h, w) {
  const ys = [], xs = [];
  whole.forEach((v, k) => { if (v) { ys.push(Math.floor(k / w)); xs.push(k % w); } });
  const [cy, cx] = [mean(ys), mean(xs)], n = ys.length - 1;
  const [yy, xx, yx] = [ys.reduce((s, y) => s + (y - cy) ** 2, 0) / n + 1e-6, xs.reduce((s, x) => s + (x - cx) ** 2, 0) / n +
    1e-6, ys.reduce((s, y, k) => s + (y - cy) * (xs[k] - cx), 0) / n], area = yy * xx - yx * yx;
  let [both, ellipse] = [0, 0];
  for (let k = 0; k < h * w; k++) {
    const [y, x] = [Math.floor(k / w) - cy, (k % w) - cx];
    if ((xx * y * y - 2 * yx * x * y + yy * x * x) / area > 4) continue;
    ellipse++;
    both += whole[k];
  }
  const value = (y, x) => (y < 0 || x < 0 || y > h - 1 || x > w - 1 ? 0 : between(soft, h, w, y, x));
  const alike = [0, 1].map((axis) => {
    const a = ys.map((y, k) => soft[y * w + xs[k]]);
    return correlation(a, ys.map((y, k) => (axis ? value(y, 2 * cx - xs[k]) : value(2 * cy - y, xs[k]))));
  });
  return [(2 * both) / (ys.length + ellipse), Math.max(...alike)];
}

function between(image, h, w, y, x) { // linearly
  const [j, i] = [Math.min(Math.floor(y), Math.max(0, h - 2)), Math.min(Math.floor(x), Math.max(0, w - 2))];
  const [a, b] = [y - j, x - i], at = (r, c) => image[Math.min(r, h - 1) * w + Math.min(c, w - 1)];
  return (1 - a) * ((1 - b) * at(j, i) + b * at(j, i + 1)) + a * ((1 - b) * at(j + 1, i) + b * at(j + 1, i + 1));
}

// likeness.features of one slice, or null where there is no object to measure.
function featuresOf(slice, height, width) {
  const scale = intensity(slice)[1], [h, w] = [height - (height % 2), width - (width % 2)];
  if (Math.min(height, width) < 32 || scale <= 0) return null;
  const image = new Float64Array(h * w);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) image[y * w + x] = slice[y * width + x] / scale;
  const soft = gaussian(image, h, w, 1.5), part = largestPart(soft.map((v) => (v > IN_HEAD ? 1 : 0)), h, w);
  if (!part) return null;
  const whole = withoutHoles(part, h, w), inside = shrunk(whole, h, w, 3);
  const pick = (values) => values.filter((_, k) => inside[k]);
  if (count(inside) < 200) return null;
  const low = resizeImage(resizeImage(image, h, w, h / 2, w / 2), h / 2, w / 2, h, w);
  const square = image.map((v, k) => (v - low[k]) ** 2);
  const edges = pick(gradient(low, h, w, 1.5)).map((v) => Math.log(v + 1e-4));
  const energy = pick(gaussian(square, h, w, 1.5)).map((v) => v + 1e-10), detail = pick(square).map((v) => v + 1e-12);
  const values = pick(image), sum = (list) => list.reduce((a, b) => a + b, 0);
  const sorted = Float64Array.from(energy).sort(), half = sum(sorted.subarray(0, sorted.length >> 1)) / sum(energy);
  const quiet = Math.max(1e-3, Math.min(0.499, half));
  const [lower, middle, upper] = [25, 50, 75].map((p) => percentile(values, p));
  const weight = gaussian(Float64Array.from(inside), h, w, 2);
  return [Math.log(mean(detail.map((v) => v * v)) / mean(detail) ** 2), correlation(edges, energy.map(Math.log)),
    Math.log(quiet / (0.5 - quiet)), Math.log10(mean(detail) / mean(values.map((v) => v * v))),
    spectrumSlope(image.map((v, k) => v * weight[k]), h, w), image.filter((v) => v < IN_HEAD).length / image.length,
    middle, upper - lower, ...shapeOf(whole, soft, h, w)];
}

// likeness.distance: about 1 for heads.
function distanceFromHeads(features, heads) {
  const away = features.map((v, k) => v - heads.mean[k]);
  const square = heads.inverse.reduce((s, row, j) => s + away[j] * row.reduce((t, v, k) => t + v * away[k], 0), 0);
  return Math.sqrt(square / away.length);
}
