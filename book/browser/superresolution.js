// A shipped super-resolution network as medsr_course.networks.pretrained.super_resolve uses it, on one slice.
// Needs fourier.js and measuring.js. `run(batch, h, w)` is the network: Float32Array h × w × channels to s·h × s·w.

const SUPER = { edge: 12, reach: 20, inHead: 0.06, least: 0.02, unknown: 0.5, headPart: 0.7, signed: 0.05 };
const TILE = { most: 320, margin: 32 }; // pixels along a side that go through at a time, and those that tiles share

// told._sigma
function toldSigma(found, unit) {
  let sigma = found.sigma;
  if (sigma === null) {
    const [least, most] = found.between || [0, 0];
    sigma = least ? least + SUPER.unknown * (most - least) : 0;
  }
  if (sigma <= SUPER.least * unit) return 0;
  return found.coils !== null ? sigma : SUPER.headPart * sigma;
}

// told._working_shape
function workingShape(image, h, w, found, sigma, level) {
  if (Math.min(...found.native) === 1) return [h, w];
  const sides = [h, w];
  const wider = sides.map((n, k) => Math.min(Math.max(roundEven(n * (found.native[k] + 0.06)), 8), n));
  const low = resizeImage(resizeImage(image, h, w, wider[0], wider[1]), wider[0], wider[1], h, w);
  const rest = [];
  image.forEach((v, k) => { if (v > 0.5 * level) rest.push(Math.abs(v - low[k])); });
  const filled = rest.length ? percentile(rest, 50) / 0.6745 : 0;
  const white = filled > 0.5 * sigma * Math.sqrt(1 - found.native[0] * found.native[1]);
  return white ? sides : sides.map((n, k) => Math.max(roundEven(n * found.native[k]), 8));
}

// told.look: the slice as the network should see it, its intensity scale, and σ of its noise.
function told(image, h, w) {
  const signed = image.filter((v) => v < 0).length > SUPER.signed * image.length;
  if (signed) return { image, h, w, sigma: 0, unit: intensity(image), signed, found: null };
  const found = noiseOf(image, h, w), level = intensity(image)[1], sigma = toldSigma(found, level);
  if (!sigma) return { image, h, w, sigma, unit: intensity(image), signed, found };
  const [rows, columns] = workingShape(image, h, w, found, sigma, level);
  let seen = resizeImage(image, h, w, rows, columns);
  if (found.coils !== null && found.coils > 1.5) {
    seen = seen.map((v) => Math.sqrt(Math.max(v * v - 2 * (found.coils - 1) * sigma * sigma, 0)));
  }
  return { image: seen, h: rows, w: columns, sigma, unit: intensity(seen), signed, found };
}

// A network that takes large images in tiles, without seams: tiles.tiled. Says after each how much is done.
function tiled(run, scale, channels, progress) {
  return async function (batch, h, w) {
    const side = h * w <= TILE.most ** 2 ? Math.max(h, w) : TILE.most - 2 * TILE.margin;
    const out = new Float32Array(scale * h * scale * w);
    const tops = [], lefts = [];
    for (let y = 0; y < h; y += side) tops.push(y);
    for (let x = 0; x < w; x += side) lefts.push(x);
    let done = 0;
    for (const top of tops) {
      for (const left of lefts) {
        const y = Math.max(0, top - TILE.margin), x = Math.max(0, left - TILE.margin);
        const rows = Math.min(h, top + side + TILE.margin) - y, columns = Math.min(w, left + side + TILE.margin) - x;
        const part = new Float32Array(rows * columns * channels);
        for (let r = 0; r < rows; r++) {
          const from = ((y + r) * w + x) * channels;
          part.set(batch.subarray(from, from + columns * channels), r * columns * channels);
        }
        const made = await run(part, rows, columns);
        const wide = scale * (Math.min(left + side, w) - left);
        for (let r = scale * top; r < scale * Math.min(top + side, h); r++) {
          const from = (r - scale * y) * scale * columns + scale * (left - x);
          out.set(made.subarray(from, from + wide), r * scale * w + scale * left);
        }
        done++;
        if (progress) progress(done / (tops.length * lefts.length));
      }
    }
    return out;
  };
}

function range(from, to) {
  return Array.from({ length: to - from }, (_, k) => from + k);
}

// common._window: indices from `margin` before the first filled to as far after the last; null where that is all.
function filledWindow(filled, margin) {
  const n = filled.length, first = filled.indexOf(1) - margin, last = filled.lastIndexOf(1) + 1 + margin;
  return last - first >= n ? null : range(first, last).map((k) => ((k % n) + n) % n);
}

// common.where_there_is_something: the residual, with the image wrapped round, empty rows and columns left out.
async function residual(run, image, h, w, noise, scale) {
  const out = new Float64Array(scale * h * scale * w);
  if (image.every((v) => v === 0)) return out;
  const filled = [new Uint8Array(h), new Uint8Array(w)];
  image.forEach((v, k) => { if (v !== 0) filled[0][Math.floor(k / w)] = filled[1][k % w] = 1; });
  const sides = [h, w];
  let kept = filled.map((one) => filledWindow(one, SUPER.reach)), margin = SUPER.reach;
  if (!kept[0] && !kept[1]) margin = airAtTheBorder(image, h, w) ? SUPER.edge / 2 : SUPER.edge;
  const wrapped = kept.map((one, k) => !one);
  kept = kept.map((one, k) => one || range(-margin, sides[k] + margin).map((i) => ((i % sides[k]) + sides[k]) % sides[k]));
  const [rows, columns] = kept, channels = noise === null ? 1 : 2;
  const batch = new Float32Array(rows.length * columns.length * channels);
  rows.forEach((y, r) => columns.forEach((x, c) => {
    const at = (r * columns.length + c) * channels;
    batch[at] = image[y * w + x];
    if (channels === 2) batch[at + 1] = noise;
  }));
  const made = await run(batch, rows.length, columns.length);
  const cut = wrapped.map((one) => (one ? margin : 0));
  for (let r = cut[0]; r < rows.length - cut[0]; r++) {
    for (let c = cut[1]; c < columns.length - cut[1]; c++) {
      for (let j = 0; j < scale; j++) {
        for (let i = 0; i < scale; i++) {
          out[(scale * rows[r] + j) * scale * w + scale * columns[c] + i] =
            made[(scale * r + j) * scale * columns.length + scale * c + i];
        }
      }
    }
  }
  return out;
}

function airAtTheBorder(image, h, w) {
  const strips = [[0, SUPER.edge, 0, w], [h - SUPER.edge, h, 0, w], [0, h, 0, SUPER.edge], [0, h, w - SUPER.edge, w]];
  return strips.every(([top, bottom, left, right]) => {
    let sum = 0, n = 0;
    for (let y = Math.max(0, top); y < Math.min(h, bottom); y++) {
      for (let x = Math.max(0, left); x < Math.min(w, right); x++) { sum += Math.abs(image[y * w + x]); n++; }
    }
    return sum / n < SUPER.inHead;
  });
}

// superresolution.super_resolve of one slice; `usage` from the network's card. Resolves to
// {result, zip, h, w, seen}: the fine slice, the slice zero-filled, their sides, and what was measured.
async function superResolve(run, slice, h, w, usage, progress) {
  const s = usage.scale, image = Float64Array.from(slice, Math.fround), seen = told(image, h, w);
  const [offset, unit] = seen.unit, fine = [s * seen.h, s * seen.w];
  const network = tiled(run, s, usage.noise_map ? 2 : 1, progress);
  const out = resizeImage(seen.image, seen.h, seen.w, fine[0], fine[1]);
  if (unit) {
    const noise = usage.noise_map ? Math.min(seen.sigma / unit, usage.most_noise ?? Infinity) : null;
    const batch = seen.image.map((v) => Math.fround((v - offset) / unit));
    const added = await residual(network, batch, seen.h, seen.w, noise, s);
    if (seen.signed) { // data of both signs stay consistent: what contradicts the measured band is taken off
      const low = resizeImage(added, ...fine, seen.h, seen.w);
      resizeImage(low, seen.h, seen.w, ...fine).forEach((v, k) => { added[k] -= v; });
    }
    added.forEach((v, k) => { out[k] += unit * v; });
  }
  return { result: resizeImage(out, ...fine, s * h, s * w), zip: resizeImage(image, h, w, s * h, s * w), h: s * h,
    w: s * w, seen };
}
