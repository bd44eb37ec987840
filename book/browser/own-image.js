// The page "Your own image": a file of the reader's, made twice as fine in this browser, beside zero-filling.
(function () {
  "use strict";
  const page = document.getElementById("medsr-own"), usage = JSON.parse(page.dataset.usage);
  const LARGEST = 1024; // pixels along a side
  const state = { file: null, name: "", index: 0 };

  function element(tag, parent, text, settings = {}) {
    const node = Object.assign(document.createElement(tag), settings);
    if (text) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  page.textContent = "";
  const absent = medsrEngine.absent();
  if (absent) {
    element("p", page, `This page cannot run here: ${absent}. Nothing else of the course needs it; \`medsr enhance\` does ` +
      "the same, and more, on your machine.", { className: "medsr-own-error" });
    return;
  }
  const row = element("div", page, "", { className: "medsr-own-row" });
  const label = element("label", row, "Image: PNG, JPEG, NIfTI or DICOM ");
  const input = element("input", label, "", { type: "file", accept: ".png,.jpg,.jpeg,.nii,.gz,.dcm,.ima,*/*" });
  const sample = element("button", row, "Or take a brain template", { type: "button" });
  const sliceRow = element("div", page, "", { className: "medsr-own-row", hidden: true });
  const sliceLabel = element("label", sliceRow, "Slice ");
  const slice = element("input", sliceLabel, "", { type: "range", min: 0, step: 1 });
  const sliceText = element("output", sliceRow);
  const preview = element("canvas", page, "", { className: "medsr-own-preview", hidden: true });
  preview.setAttribute("role", "img");
  const before = element("ul", page, "", { className: "medsr-own-findings" });
  const go = element("button", page, "Make it twice as fine", { type: "button", disabled: true, className: "medsr-own-go" });
  const progress = element("progress", page, "", { max: 1, value: 0, hidden: true });
  progress.setAttribute("aria-label", "How much is done");
  const status = element("p", page, `Choose an image. The network comes with the first one: ${page.dataset.weight}.`,
    { className: "medsr-own-status" });
  status.setAttribute("role", "status");
  const result = element("div", page, "", { className: "medsr-own-result" });

  function list(parent, findings) {
    findings.forEach((one) => {
      const item = element("li", parent, "", { className: `medsr-own-${one.status}` });
      element("b", item, { refused: "Refused: ", caution: "Caution: ", note: "Note: " }[one.status]);
      item.append(one.words);
    });
  }
  function painted(values, w, h, low, high) {
    const canvas = Object.assign(document.createElement("canvas"), { width: w, height: h });
    const context = canvas.getContext("2d"), picture = context.createImageData(w, h);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const v = (255 * (values[(h - 1 - y) * w + x] - low)) / (high - low || 1);
        picture.data.set([v, v, v, 255], 4 * (y * w + x)); // rounded and kept within 0 … 255 by the array
      }
    }
    context.putImageData(picture, 0, 0);
    return canvas;
  }
  function window_(values) {
    const sorted = Float64Array.from(values);
    return [Math.min(0, percentile(sorted, 0.5)), percentile(sorted, 99.8)];
  }

  async function open(promise, name) {
    const stem = name.replace(/\.(nii|nii\.gz|dcm|ima|png|jpe?g)$/i, "");
    state.name = (stem.match(/[\p{L}\p{N}_]+/gu) || ["image"]).join("-");
    result.textContent = before.textContent = "";
    go.disabled = true;
    preview.hidden = sliceRow.hidden = true;
    try {
      state.file = await promise;
    } catch (error) {
      status.textContent = error instanceof medsrFiles.Unreadable ? error.message : `It could not be read: ${error.message}`;
      return;
    }
    const { w, h, count, format } = state.file;
    if (Math.max(w, h) > LARGEST || Math.min(w, h) < 16) {
      const wrong = Math.min(w, h) < 16 ? "too small" : "too large";
      status.textContent = `Its sides of ${w} and ${h} pixels are ${wrong}: this page takes 16 to ${LARGEST}.`;
      return;
    }
    slice.max = count - 1;
    slice.value = state.index = count >> 1;
    sliceRow.hidden = count === 1;
    status.textContent = `${format}, ${w} × ${h} pixels${count > 1 ? `, ${count} slices` : ""}.`;
    choose();
  }
  function take(file) {
    open(medsrFiles.read(file), file.name);
  }
  function choose() {
    state.index = Number(slice.value);
    sliceText.textContent = slice.value;
    const { file } = state, values = file.slice(state.index), shown = painted(values, file.w, file.h, ...window_(values));
    Object.assign(preview, { width: file.w, height: file.h, hidden: false });
    preview.style.width = `${file.w * Math.max(1, Math.floor(256 / Math.max(file.w, file.h)))}px`;
    preview.getContext("2d").drawImage(shown, 0, 0);
    preview.setAttribute("aria-label", `Slice ${state.index} of the image`);
    const findings = judgedBefore(file, Float64Array.from(values), file.h, file.w);
    before.textContent = "";
    list(before, findings);
    go.disabled = findings.some((one) => one.status === "refused");
  }

  async function run() {
    const { file, index, name } = state;
    go.disabled = true;
    progress.hidden = false;
    progress.removeAttribute("value");
    status.textContent = "Loading the network, then computing …";
    result.textContent = "";
    try {
      const values = file.slice(index);
      const { made, seconds } = await medsrEngine.run(values, file.h, file.w, usage, (part) => { progress.value = part; });
      if (file === state.file && index === state.index) {
        show(values, made, seconds, file.count > 1 ? `${name}_slice-${index}` : name);
      }
    } catch (error) {
      status.textContent = `It did not work: ${error.message}. Your image has not left this page.`;
    }
    progress.hidden = true;
    go.disabled = false;
  }
  function show(values, made, seconds, source) {
    const { file } = state, { w, h } = made, added = made.result.map((v, k) => v - made.zip[k]), unit = made.seen.unit[1];
    const [low, high] = window_(values), most = percentile(added.map(Math.abs), 99.8) || 1;
    const pixel = file.pixel && file.pixel.map((mm) => mm / usage.scale);
    const { sigma: told, found } = made.seen, unknown = found && found.sigma === null;
    const sigma = told && unit ? `${((100 * told) / unit).toFixed(1)} %` : unknown ? "none, as it cannot be told" : "none";
    status.textContent = `Done in ${seconds.toFixed(1)} s: ${file.w} × ${file.h} pixels became ${w} × ${h}. ` +
      `Noise that the network was told of: ${sigma}.`;
    list(element("ul", result, "", { className: "medsr-own-findings" }), judgedAfter(made.seen));
    viewer({ "your image": [values, file.w, file.h], ZIP: [made.zip, w, h], network: [made.result, w, h] }, [low, high],
      { kind: "compare", start: [1, 2] }, pixel, "Left ZIP, right the network, in one window. ZIP is the same scan, " +
      "zero-filled: no network has touched it. Press B to blink.");
    viewer({ "network − ZIP": [added, w, h] }, [-most, most], { kind: "slider", start: [0], label: "Image" }, pixel,
      "All that the network added: grey is nothing, white more than ZIP, black less. Is there a structure in it that you " +
      "would call a finding? Then look for it in ZIP. What is here only comes from other people's scans.");
    const links = element("p", result, "Keep it, as NIfTI: "), [dx, dy] = pixel || [1, 1];
    Object.entries({ result: made.result, zip: made.zip, added }).forEach(([name, image]) => {
      const address = URL.createObjectURL(medsrFiles.asNifti(image, [w, h], [dx, 0, 0, 0, 0, dy, 0, 0, 0, 0, 1, 0]));
      element("a", links, name, { href: address, download: `${source}_desc-${name}.nii` });
      links.append(" ");
    });
  }
  function viewer(images, window, config, pixel, caption) {
    const key = `medsr-own-${result.childElementCount}-${performance.now()}`;
    const figure = element("figure", result, "", { className: "medsr-figure medsr-viewer" });
    const fallback = element("div", figure, "", { className: "medsr-fallback" });
    const sizes = Object.values(images), [, w, h] = sizes[sizes.length - 1];
    for (const [title, [values, columns, rows]] of Object.entries(images)) {
      const img = element("img", fallback, "", { alt: title, src: painted(values, columns, rows, ...window).toDataURL() });
      img.dataset.left = 50 / w - 50 / columns; // sample 0 over sample 0
      img.dataset.bottom = 50 / h - 50 / rows;
    }
    element("figcaption", figure).append(element("i", null, caption));
    figure.dataset.medsrViewer = key;
    figure.dataset.config = JSON.stringify({ ...config, aspect: w / h, shape: [h, w], window, pixelated: true, slices: 1,
      mm: pixel && Math.abs(pixel[0] / pixel[1] - 1) < 0.02 ? pixel[0] * w : null });
    medsrViewer(key);
  }

  input.addEventListener("change", () => { if (input.files.length) take(input.files[0]); });
  sample.addEventListener("click", () => {
    input.value = "";
    status.textContent = "Loading the template …";
    open(medsrPacked.get("template").then((bytes) => medsrFiles.read(new Blob([bytes]))), "template");
  });
  slice.addEventListener("input", choose);
  go.addEventListener("click", run);
  page.addEventListener("dragover", (event) => event.preventDefault());
  page.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  page.dataset.ready = "true";
})();
