// A volume out of DICOM files of one slice each: sorted by their places, as the bytes of a NIfTI file.
const medsrSeries = (function () {
  "use strict";
  const minus = (a, b) => a.map((v, k) => v - b[k]), dot = (a, b) => a.reduce((sum, v, k) => sum + v * b[k], 0);
  const cross = ([a, b, c], [d, e, f]) => [b * f - c * e, c * d - a * f, a * e - b * d];
  const alike = (a, b) => a.length === b.length && a.every((v, k) => Math.abs(v - b[k]) < 1e-3);

  async function isDicom(file) {
    return (await file.slice(128, 132).text()) === "DICM";
  }

  // {bytes, said}: NIfTI, and in words what was taken; an error, in words, where the files make no volume.
  async function read(files) {
    const slices = [];
    let refused = "", others = 0;
    for (const file of files) {
      try {
        const found = await isDicom(file) ? await medsrFiles.read(file) : null;
        if (found) slices.push(found);
        else others++;
      } catch (error) {
        if (!(error instanceof medsrFiles.Unreadable)) throw error;
        refused = error.message;
        others++;
      }
    }
    if (!slices.length) throw new Error(refused || "there is no DICOM file among them");
    const one = largest(slices), left = others + slices.length - one.length;
    const { ordered, notes } = inOrder(one), { w, h } = ordered[0];
    const values = new Float32Array(w * h * ordered.length);
    ordered.forEach((part, k) => values.set(part.slice(0), k * w * h));
    const blob = medsrFiles.asNifti(values, [w, h, ordered.length], affine(ordered));
    if (left) notes.push(`${left} ${left === 1 ? "file was" : "files were"} left out${refused ? `: ${refused}` : ""}`);
    const said = [`${ordered.length} slices, ${w} × ${h}, put in order by their places`, ...notes].join("; ");
    return { bytes: await blob.arrayBuffer(), said: said.replace(/\.?$/, ".") };
  }

  // The slices that belong together: of one series, one size, one direction; of several such sets the largest.
  function largest(slices) {
    const sets = [];
    for (const part of slices) {
      const { series, directions } = part.place;
      const mine = sets.find(([one]) => one.place.series === series && one.w === part.w && one.h === part.h &&
        alike(one.place.directions, directions));
      if (mine) mine.push(part);
      else sets.push([part]);
    }
    return sets.sort((a, b) => b.length - a.length)[0];
  }

  function inOrder(set) {
    if (set.some((part) => part.count > 1)) {
      throw new Error("a file holds several slices, whose places this page does not read: convert it with dcm2niix");
    }
    const placed = set.filter(({ place, pixel }) => place.position.length === 3 && place.directions.length === 6 && pixel);
    if (placed.length < set.length) throw new Error("a file does not say where in the body its slice lies");
    if (set.length < 2) throw new Error("one slice is no volume: choose all files of the series, or their folder");
    const { directions } = set[0].place, normal = cross(directions.slice(0, 3), directions.slice(3));
    const height = (part) => dot(part.place.position, normal);
    const sorted = set.slice().sort((a, b) => height(a) - height(b) || a.place.number - b.place.number);
    const ordered = sorted.filter((part, k) => k === 0 || height(part) - height(sorted[k - 1]) > 1e-3), notes = [];
    if (ordered.length < 2) throw new Error("all slices lie in one place: they are no volume");
    if (ordered.length < set.length) notes.push(`of ${set.length} images, the first at each place`);
    const gaps = ordered.slice(1).map((part, k) => height(part) - height(ordered[k]));
    if (Math.max(...gaps) > 1.05 * Math.min(...gaps)) notes.push("their distances differ, as where some are missing");
    return { ordered, notes };
  }

  // From voxels to mm (right, front, top); row 0 of a slice is its last in the file.
  function affine(ordered) {
    const [first, last] = [ordered[0], ordered[ordered.length - 1]], { position, directions } = first.place;
    const along = directions.slice(0, 3).map((v) => v * first.pixel[0]);
    const up = directions.slice(3).map((v) => -v * first.pixel[1]);
    const step = minus(last.place.position, position).map((v) => v / (ordered.length - 1));
    const corner = minus(position, up.map((v) => v * (first.h - 1)));
    return [0, 1, 2].flatMap((k) => [along, up, step, corner].map((column) => (k === 2 ? 1 : -1) * column[k]));
  }

  return { read, isDicom };
})();
