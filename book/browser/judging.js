// What speaks against an image, as medsr_course.scans.domain judges it, in words that the build takes from there
// (medsrWords). Each finding: {status, code, words}; status "refused", "caution" or "note". Needs likeness.js.

function finding(status, code, values = {}) {
  const words = medsrWords[code].replace(/\{(\w+)(?::[^}]*)?\}/g, (_, name) => values[name]);
  return { status, code, words };
}

// likeness.values: what the numbers are.
function kindOfValues(image, h, w) {
  const low = percentile(image, 0.1), high = percentile(image, 99.9);
  if (image.every((v) => v === image[0])) return "empty";
  const step = Math.max(1, Math.floor(image.length / 20000)), counts = new Map();
  for (let k = 0; k < image.length; k += step) counts.set(image[k], (counts.get(image[k]) || 0) + 1);
  const most = Math.max(...counts.values());
  const usual = Math.min(...[...counts].filter(([, n]) => n === most).map(([v]) => v));
  let some = 0, equal = 0, jumps = 0;
  for (let y = 0; y < h; y++) {
    for (let x = 1; x < w; x++) {
      const [a, b] = [image[y * w + x], image[y * w + x - 1]];
      if (a !== usual || b !== usual) { some++; equal += a === b ? 1 : 0; }
      if (Math.abs(a - b) > 0.8 * (high - low)) jumps++;
    }
  }
  if (some && equal > 0.6 * some) return "labels";
  if (jumps > 0.008 * h * (w - 1)) return "phase";
  if (intensity(image)[0]) return percentile(image, 0.5) < -500 && high < 5000 ? "ct" : "signed";
  return high > 2e-4 && high < 1e-2 ? "quantitative" : "magnitude";
}

// Before anything is computed: the file's own words, and what its values are.
function judgedBefore(file, image, h, w) {
  const found = file.notes.map((code) => finding("caution", code, { modality: file.about.modality, part: file.about.part,
    task: "super-resolution", plane: file.about.plane }));
  if (!image.every(Number.isFinite)) return [finding("refused", "not-finite")];
  const kind = kindOfValues(image, h, w);
  if (kind === "empty" || kind === "labels" || kind === "phase") return [finding("refused", kind), ...found];
  if (kind !== "magnitude" && !file.notes.includes(kind)) found.push(finding("caution", kind, { task: "super-resolution" }));
  const [least, most] = medsrHeads.sizes, [a, b] = file.pixel || [1, 1];
  if (Math.min(a, b) < least || Math.max(a, b) > most || Math.max(a, b) > 1.5 * Math.min(a, b)) {
    found.push(finding("caution", "voxel-size", { a: a.toFixed(2), b: b.toFixed(2), least, most }));
  }
  const features = featuresOf(image, h, w), far = features && distanceFromHeads(features, medsrHeads);
  if (!features) found.push(finding("caution", "not-measured"));
  else if (far > medsrHeads.limit) {
    found.push(finding("caution", "unlike-heads", { far: far.toFixed(1), most: medsrHeads.limit.toFixed(1) }));
  }
  return found;
}

// Afterwards: what was measured on the way.
function judgedAfter(seen) {
  const found = [finding("note", "one-slice")], noise = seen.found;
  if (!noise) return found;
  const percent = noise.sigma === null ? null : (100 * noise.sigma) / seen.unit[1];
  if (percent === null) found.push(finding("caution", "noise", {}));
  else if (percent > 8) found.push(finding("caution", "noise-much", { percent: percent.toFixed(0), most: 8 }));
  ["rows", "columns"].forEach((axis, k) => {
    if (noise.native[k] < 1) found.push(finding("caution", "interpolated", { axis: `${axis}'`, detail: "" }));
  });
  return found;
}
