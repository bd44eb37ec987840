// Fourier transforms of any length, and the grid rule of medsr_course.physics.grid: sample 0 stays in place.

// In place, Float64Arrays of one length; the inverse divides by it. Powers of two by halving, others after Bluestein.
function fourier(re, im, inverse) {
  const n = re.length;
  if (inverse) {
    fourier(im, re, false);
    for (let i = 0; i < n; i++) { re[i] /= n; im[i] /= n; }
  } else if ((n & (n - 1)) === 0) powerOfTwo(re, im);
  else if (n > 1) bluestein(re, im);
}

function powerOfTwo(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const c = Math.cos((2 * Math.PI * k) / size), s = -Math.sin((2 * Math.PI * k) / size);
      for (let a = k; a < n; a += size) {
        const b = a + half, x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
    }
  }
}

const CHIRPS = new Map();

// What a length needs once: the chirp e^(−πi k²/n), and the transform of its conjugate, padded.
function chirpOf(n) {
  if (!CHIRPS.has(n)) {
    let size = 1;
    while (size < 2 * n) size *= 2;
    const chirp = { size, c: new Float64Array(n), s: new Float64Array(n), re: new Float64Array(size),
      im: new Float64Array(size) };
    for (let k = 0; k < n; k++) {
      const angle = (Math.PI * ((k * k) % (2 * n))) / n;
      chirp.c[k] = Math.cos(angle);
      chirp.s[k] = -Math.sin(angle);
      chirp.re[k] = chirp.re[(size - k) % size] = chirp.c[k];
      chirp.im[k] = chirp.im[(size - k) % size] = -chirp.s[k];
    }
    powerOfTwo(chirp.re, chirp.im);
    CHIRPS.set(n, chirp);
  }
  return CHIRPS.get(n);
}

function bluestein(re, im) {
  const n = re.length, chirp = chirpOf(n), size = chirp.size;
  const a = new Float64Array(size), b = new Float64Array(size);
  for (let k = 0; k < n; k++) {
    a[k] = re[k] * chirp.c[k] - im[k] * chirp.s[k];
    b[k] = re[k] * chirp.s[k] + im[k] * chirp.c[k];
  }
  powerOfTwo(a, b);
  for (let k = 0; k < size; k++) {
    const x = a[k] * chirp.re[k] - b[k] * chirp.im[k];
    b[k] = a[k] * chirp.im[k] + b[k] * chirp.re[k];
    a[k] = x;
  }
  fourier(a, b, true);
  for (let k = 0; k < n; k++) {
    re[k] = a[k] * chirp.c[k] - b[k] * chirp.s[k];
    im[k] = a[k] * chirp.s[k] + b[k] * chirp.c[k];
  }
}

// Transform of a real image (h × w, rows one after the other): {re, im}, frequency 0 first.
function fourier2(image, h, w) {
  const re = Float64Array.from(image), im = new Float64Array(h * w);
  for (let y = 0; y < h; y++) fourier(re.subarray(y * w, (y + 1) * w), im.subarray(y * w, (y + 1) * w));
  const a = new Float64Array(h), b = new Float64Array(h);
  for (let x = 0; x < w; x++) {
    for (let y = 0; y < h; y++) { a[y] = re[y * w + x]; b[y] = im[y * w + x]; }
    fourier(a, b);
    for (let y = 0; y < h; y++) { re[y * w + x] = a[y]; im[y * w + x] = b[y]; }
  }
  return { re, im };
}

// One real line to another number of samples: more by zero-filling, fewer by keeping the lowest frequencies.
function resizeLine(line, size) {
  const n = line.length, small = Math.min(n, size);
  if (n === size) return Float64Array.from(line);
  const re = Float64Array.from(line), im = new Float64Array(n);
  fourier(re, im);
  const outRe = new Float64Array(size), outIm = new Float64Array(size);
  const up = (small + 1) >> 1, half = small >> 1; // coefficients 0 … up−1 and −half … −1
  for (let k = 0; k < up; k++) { outRe[k] = re[k]; outIm[k] = im[k]; }
  for (let k = 1; k <= half; k++) { outRe[size - k] = re[n - k]; outIm[size - k] = im[n - k]; }
  if (small % 2 === 0) {
    if (size > n) { // the coefficient at −N/2 is half of ±N/2
      outRe[half] = outRe[size - half] = 0.5 * re[n - half];
      outIm[half] = outIm[size - half] = 0.5 * im[n - half];
    } else { // and the two become one again
      outRe[size - half] = re[half] + re[n - half];
      outIm[size - half] = im[half] + im[n - half];
    }
  }
  fourier(outRe, outIm, true);
  for (let k = 0; k < size; k++) outRe[k] *= size / n;
  return outRe;
}

// An image (h × w) on a grid of toH × toW samples over the same field: grid.pad_axis or grid.crop_axis, both axes.
function resizeImage(image, h, w, toH, toW) {
  const wide = new Float64Array(h * toW), out = new Float64Array(toH * toW), column = new Float64Array(h);
  for (let y = 0; y < h; y++) wide.set(resizeLine(image.subarray(y * w, (y + 1) * w), toW), y * toW);
  for (let x = 0; x < toW; x++) {
    for (let y = 0; y < h; y++) column[y] = wide[y * toW + x];
    const made = resizeLine(column, toH);
    for (let y = 0; y < toH; y++) out[y * toW + x] = made[y];
  }
  return out;
}
