// Frames of compressed DICOM: RLE Lossless is unpacked here, JPEG Baseline (8 bits) by the browser.
// files.js calls it.
const medsrFrames = (function () {
  "use strict";
  const RLE = "1.2.840.10008.1.2.5", JPEG = "1.2.840.10008.1.2.4.50";
  const NAMES = { "1.2.840.10008.1.2.2": "big endian", "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.4.51": "JPEG Extended, 12 bits", "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless", "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS", "1.2.840.10008.1.2.4.90": "JPEG 2000", "1.2.840.10008.1.2.4.91": "JPEG 2000" };

  function refusal(syntax) {
    const name = NAMES[syntax] || `transfer syntax ${syntax || "unknown"}`;
    return `The pixels of this DICOM file are compressed or ordered in a way that this page does not read (${name}): ` +
      "convert it, for instance with dcm2niix, or use medsr enhance.";
  }

  // The pieces that the pixels come in, without the table of offsets before them.
  function pieces(bytes, view, at) {
    const found = [];
    while (at + 8 <= bytes.length && view.getUint32(at, true) === 0xe000fffe) {
      const length = view.getUint32(at + 4, true);
      if (at + 8 + length > bytes.length) return [];
      found.push(bytes.subarray(at + 8, at + 8 + length));
      at += 8 + length;
    }
    return found.slice(1);
  }

  // One frame of RLE Lossless (DICOM PS3.5, annex G) into `out`: a segment for each byte of a value, the highest first,
  // each packed as by PackBits. False where bytes are missing.
  function unpackRle(frame, size, out) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (frame.length < 64 || view.getUint32(0, true) !== size) return false;
    for (let plane = 0; plane < size; plane++) {
      const last = plane === size - 1 ? frame.length : Math.min(frame.length, view.getUint32(8 + 4 * plane, true));
      let at = view.getUint32(4 + 4 * plane, true), to = size - 1 - plane;
      while (to < out.length && at < last) {
        const head = frame[at++];
        if (head < 128) for (let k = 0; k <= head && at < last; k++, to += size) out[to] = frame[at++];
        else if (head > 128) {
          for (let k = head; k <= 256; k++, to += size) out[to] = frame[at];
          at++;
        }
      }
      if (to < out.length) return false;
    }
    return true;
  }

  async function unpackJpeg(frame, out) {
    const whole = new Blob([frame], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(whole, { colorSpaceConversion: "none" }).catch(() => null);
    if (!bitmap || bitmap.width * bitmap.height !== out.length) return false;
    const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    out.forEach((_, k) => { out[k] = pixels[4 * k]; });
    return true;
  }

  // All frames one behind the other, low byte first, as a file without compression holds them; null where they are
  // damaged. each: bytes of a frame; size: bytes of a value.
  async function unpack(syntax, bytes, view, at, { count, each, size }) {
    const found = pieces(bytes, view, at), out = new Uint8Array(count * each);
    const frames = count === 1 && syntax === JPEG ? [new Blob(found)] : found; // a single JPEG may come in pieces
    if (frames.length !== count || !found.length) return null;
    for (let k = 0; k < count; k++) {
      const mine = out.subarray(k * each, (k + 1) * each);
      const whole = syntax === RLE ? unpackRle(frames[k], size, mine) : await unpackJpeg(frames[k], mine);
      if (!whole) return null;
    }
    return out;
  }

  return { RLE, JPEG, refusal, unpack };
})();
