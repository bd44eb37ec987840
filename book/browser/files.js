// Images read in the page: PNG and JPEG by the browser, NIfTI and DICOM here. Nothing is sent anywhere.
// A file becomes {format, w, h, count, slice(k), pixel, notes, about}: slice(k) is a Float32Array, its row 0 at the
// bottom of the picture; pixel: mm along columns' and rows' axes, or null; notes: codes of what is to be said. DICOM has
// a place besides: {series, number, position, directions}, as the standard means them.
const medsrFiles = (function () {
  "use strict";
  class Unreadable extends Error {}

  async function read(file) {
    let bytes = new Uint8Array(await file.arrayBuffer());
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = await unzipped(bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const text = (at, n) => String.fromCharCode(...bytes.subarray(at, at + n));
    if (bytes.length > 132 && text(128, 4) === "DICM") return dicom(bytes, view);
    if (bytes.length > 352 && (text(344, 3) === "n+1" || text(344, 3) === "ni1")) return nifti(bytes, view);
    if (text(1, 3) === "PNG" || (bytes[0] === 0xff && bytes[1] === 0xd8)) return picture(file, text(1, 3) === "PNG");
    throw new Unreadable("This is no PNG, JPEG, NIfTI (.nii, .nii.gz) or DICOM file: convert it to one of them.");
  }

  async function unzipped(bytes) {
    try {
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      return new Uint8Array(await new Response(stream).arrayBuffer());
    } catch (error) {
      throw new Unreadable("The file is cut off or damaged: it cannot be unpacked.");
    }
  }

  async function picture(file, png) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch (error) {
      throw new Unreadable("The picture is damaged: the browser cannot read it.");
    }
    const { width: w, height: h } = bitmap, canvas = document.createElement("canvas");
    Object.assign(canvas, { width: w, height: h });
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const pixels = context.getImageData(0, 0, w, h).data, values = new Float32Array(w * h);
    let colour = false;
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const [r, g, b] = pixels.subarray(4 * (y * w + x), 4 * (y * w + x) + 3);
        colour = colour || Math.max(r, g, b) - Math.min(r, g, b) > 8;
        values[(h - 1 - y) * w + x] = r === g && g === b ? r : 0.299 * r + 0.587 * g + 0.114 * b;
      }
    }
    const notes = ["picture", ...(png ? [] : ["jpeg"]), ...(colour ? ["colour-picture"] : [])];
    return { format: png ? "PNG" : "JPEG", w, h, count: 1, slice: () => values, pixel: null, notes, about: {} };
  }

  // -------------------------------------------------------------------------------------------------- NIfTI-1
  const KINDS = { 2: ["getUint8", 1], 4: ["getInt16", 2], 8: ["getInt32", 4], 16: ["getFloat32", 4],
    64: ["getFloat64", 8], 256: ["getInt8", 1], 512: ["getUint16", 2], 768: ["getUint32", 4] };

  function nifti(bytes, view) {
    const little = view.getInt32(0, true) === 348, int = (at) => view.getInt16(at, little);
    const float = (at) => view.getFloat32(at, little), size = [1, 2, 3].map((k) => Math.max(1, int(40 + 2 * k)));
    const kind = KINDS[int(70)];
    if (!kind) throw new Unreadable("Its values are complex, or colours: save one magnitude image.");
    const start = Math.max(352, Math.round(float(108))), count = size[0] * size[1] * size[2];
    if (bytes.length < start + count * kind[1]) throw new Unreadable("The file is cut off: values are missing.");
    let [slope, offset] = [float(112), float(116)];
    if (!Number.isFinite(slope) || slope === 0) [slope, offset] = [1, 0];
    const { order, flip, mm, known } = orientation(float, int);
    const across = thickest(order.map((axis) => mm[axis])), step = [1, size[0], size[0] * size[1]];
    const [columns, rows] = [0, 1, 2].filter((axis) => axis !== across); // of the volume turned to Right, Anterior, Superior
    const side = (axis) => size[order[axis]];
    function at(place) { // of a voxel (x, y, z) of the turned volume
      let index = 0;
      place.forEach((p, axis) => { index += step[order[axis]] * (flip[axis] ? side(axis) - 1 - p : p); });
      return index;
    }
    const [w, h] = [side(columns), side(rows)];
    function slice(k) {
      const out = new Float32Array(w * h), place = [0, 0, 0];
      place[across] = k;
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) {
          place[rows] = y;
          place[columns] = x;
          out[y * w + x] = view[kind[0]](start + at(place) * kind[1], little) * slope + offset;
        }
      }
      return out;
    }
    const notes = [...(known ? [] : ["orientation-unknown"]), ...(across === 2 ? [] : ["orientation"]),
      ...(int(48) > 1 ? ["first-volume"] : [])];
    return { format: "NIfTI", w, h, count: side(across), slice, notes, pixel: [mm[order[columns]], mm[order[rows]]],
      about: { plane: ["sagittal", "coronal", "axial"][across] } };
  }

  // Which axis of the file lies nearest to Right, Anterior and Superior, which way round, and its voxels' edges.
  function orientation(float, int) {
    let matrix = [0, 1, 2].map((row) => [0, 1, 2].map((column) => float(280 + 16 * row + 4 * column)));
    const pixdim = [1, 2, 3].map((k) => Math.abs(float(76 + 4 * k)) || 1);
    if (!int(254) && int(252)) matrix = quaternion(float, pixdim);
    else if (!int(254)) matrix = pixdim.map((p, row) => [0, 1, 2].map((column) => (row === column ? p : 0)));
    const mm = [0, 1, 2].map((c) => Math.hypot(...matrix.map((row) => row[c])) || 1), order = [], flip = [];
    const free = new Set([0, 1, 2]);
    const places = [0, 1, 2].flatMap((row) => [0, 1, 2].map((c) => [Math.abs(matrix[row][c]) / mm[c], row, c]));
    for (const [, row, c] of places.sort((a, b) => b[0] - a[0])) {
      if (order[row] !== undefined || !free.has(c)) continue;
      order[row] = c;
      flip[row] = matrix[row][c] < 0;
      free.delete(c);
    }
    return { order, flip, mm, known: int(254) > 0 || int(252) > 0 };
  }

  function quaternion(float, pixdim) {
    const [b, c, d] = [256, 260, 264].map(float), a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
    const turn = [[a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
      [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
      [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c]];
    const scale = [pixdim[0], pixdim[1], pixdim[2] * (float(76) < 0 ? -1 : 1)];
    return turn.map((row) => row.map((v, k) => v * scale[k]));
  }

  function thickest(mm) {
    const middle = mm.slice().sort((a, b) => a - b)[1], most = Math.max(...mm);
    return most > 1.5 * middle ? mm.indexOf(most) : 2;
  }

  // -------------------------------------------------------------------------------------------------- DICOM
  const EXPLICIT = { "1.2.840.10008.1.2": false, "1.2.840.10008.1.2.1": true, // whether elements name their types
    [medsrFrames.RLE]: true, [medsrFrames.JPEG]: true };
  const LONG = ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"];

  function elements(bytes, view, at, end, explicit, until) {
    const found = {};
    while (at + 8 <= end) {
      const group = view.getUint16(at, true), tag = group * 65536 + view.getUint16(at + 2, true);
      if (until && !until(group)) break;
      const type = String.fromCharCode(bytes[at + 4], bytes[at + 5]);
      let length = view.getUint32(at + 4, true), start = at + 8;
      if (explicit && LONG.includes(type)) {
        length = view.getUint32(at + 8, true);
        start = at + 12;
      } else if (explicit) length = view.getUint16(at + 6, true);
      found[tag] = { start, length };
      if (length === 0xffffffff) {
        if (tag === 0x7fe00010) break;
        at = pastSequence(bytes, view, start, explicit, end);
      } else at = start + length;
    }
    return { found, at };
  }

  // Behind a sequence of undefined length: items are stepped over, whatever they hold.
  function pastSequence(bytes, view, at, explicit, end) {
    while (at + 8 <= end) {
      const tag = view.getUint16(at, true) * 65536 + view.getUint16(at + 2, true), length = view.getUint32(at + 4, true);
      at += 8;
      if (tag === 0xfffee0dd) return at;
      if (tag !== 0xfffee000) break;
      if (length !== 0xffffffff) at += length;
      else at = elements(bytes, view, at, end, explicit, (group) => group !== 0xfffe).at + 8;
    }
    throw new Unreadable("The DICOM file is damaged: a sequence does not end.");
  }

  async function dicom(bytes, view) {
    const meta = elements(bytes, view, 132, bytes.length, true, (group) => group === 2);
    const words = (found, tag) => {
      const one = found[tag];
      return one ? String.fromCharCode(...bytes.subarray(one.start, one.start + one.length)).replace(/[\0 ]+$/, "") : "";
    };
    const syntax = words(meta.found, 0x00020010);
    if (!(syntax in EXPLICIT)) throw new Unreadable(medsrFrames.refusal(syntax));
    const { found } = elements(bytes, view, meta.at, bytes.length, EXPLICIT[syntax]);
    const number = (tag, usual) => (found[tag] ? view.getUint16(found[tag].start, true) : usual);
    const decimals = (tag) => words(found, tag).split("\\").map(Number).filter(Number.isFinite);
    const [h, w, bits] = [number(0x00280010, 0), number(0x00280011, 0), number(0x00280100, 16)];
    const signed = number(0x00280103, 0) === 1, pixels = found[0x7fe00010];
    const photometric = words(found, 0x00280004), inverted = photometric === "MONOCHROME1";
    if (!pixels || !h || !w || ![8, 16, 32].includes(bits)) throw new Unreadable("This DICOM file holds no image.");
    const coloured = number(0x00280002, 1) !== 1 || photometric.startsWith("PALETTE");
    if (coloured) throw new Unreadable("This DICOM image is in colour: give a grey one.");
    const count = Number(words(found, 0x00280008)) || 1, each = h * w * (bits / 8);
    const packed = syntax === medsrFrames.RLE || syntax === medsrFrames.JPEG;
    let values = view, first = pixels.start;
    if (packed) {
      const plain = await medsrFrames.unpack(syntax, bytes, view, first, { count, each, size: bits / 8 });
      if (!plain) throw new Unreadable("The DICOM file is cut off or damaged: its pixels cannot be unpacked.");
      [values, first] = [new DataView(plain.buffer), 0];
    } else if (first + each > bytes.length) throw new Unreadable("The DICOM file is cut off: pixels are missing.");
    const [slope] = [...decimals(0x00281053), 1], [offset] = [...decimals(0x00281052), 0];
    const get = `get${signed ? "Int" : "Uint"}${bits}`, stored = number(0x00280101, bits);
    function value(at) {
      let v = values[get](at, true);
      if (stored < bits) { // bits beyond the stored ones are no part of the value
        v &= 2 ** stored - 1;
        if (signed && v >= 2 ** (stored - 1)) v -= 2 ** stored;
      }
      return v * (slope || 1) + offset;
    }
    function slice(k) {
      const out = new Float32Array(w * h);
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) out[(h - 1 - y) * w + x] = value(first + k * each + (y * w + x) * (bits / 8));
      }
      if (!inverted) return out;
      const most = out.reduce((a, b) => Math.max(a, b));
      return out.map((v) => most - v);
    }
    const spacing = decimals(0x00280030), about = { modality: words(found, 0x00080060), part: words(found, 0x00180015) };
    const notes = syntax === medsrFrames.JPEG || words(found, 0x00282110) === "01" ? ["jpeg"] : [];
    if (about.modality === "CT") notes.push("ct");
    else if (about.modality && about.modality !== "MR") notes.push("modality");
    const head = /head|brain|skull|cerebr|neuro|crane|kopf|schaedel|encephal/i;
    if (about.part && !head.test(about.part)) notes.push("body-part");
    if (words(found, 0x00080008).startsWith("DERIVED")) notes.push("derived");
    const pixel = spacing.length > 1 ? [spacing[1], spacing[0]] : null;
    const place = { series: words(found, 0x0020000e), number: Number(words(found, 0x00200013)) || 0,
      position: decimals(0x00200032), directions: decimals(0x00200037) };
    return { format: "DICOM", w, h, count, slice, pixel, notes, about, place };
  }

  // A slice or a volume as a NIfTI file: float32; sides [w, h] or [w, h, n]; matrix: the affine's first three rows in mm.
  function asNifti(values, sides, matrix) {
    const bytes = new ArrayBuffer(352 + 4 * values.length), view = new DataView(bytes);
    const edges = [0, 1, 2].map((k) => Math.hypot(matrix[k], matrix[4 + k], matrix[8 + k]));
    view.setInt32(0, 348, true);
    [sides.length, ...sides, 1, 1, 1, 1, 1].slice(0, 8).forEach((v, k) => view.setInt16(40 + 2 * k, v, true));
    view.setInt16(70, 16, true);
    view.setInt16(72, 32, true);
    [1, ...edges].forEach((v, k) => view.setFloat32(76 + 4 * k, v, true));
    view.setFloat32(108, 352, true);
    view.setFloat32(112, 1, true);
    view.setUint8(123, 2); // mm
    view.setInt16(254, 1, true);
    matrix.forEach((v, k) => view.setFloat32(280 + 4 * k, v, true));
    [110, 43, 49].forEach((v, k) => view.setUint8(344 + k, v)); // "n+1"
    values.forEach((v, k) => view.setFloat32(352 + 4 * k, v, true));
    return new Blob([bytes], { type: "application/octet-stream" });
  }

  return { read, asNifti, Unreadable };
})();
