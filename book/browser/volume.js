// Whole volumes in the chapters: NiiVue, loaded on a click, shows a brain template, or the reader's files. NiiVue decodes
// no DICOM: files.js and series.js do.
(function () {
  "use strict";
  const VIEWS = [["three planes and 3-D", 3], ["axial", 0], ["coronal", 1], ["sagittal", 2], ["3-D", 4]]; // NiiVue's numbers

  function element(tag, parent, text, settings = {}) {
    const node = Object.assign(document.createElement(tag), settings);
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  }
  // The files of one packed together: each with its length in four bytes before it.
  function apart(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), found = [];
    for (let at = 0; at < bytes.length; at += 4 + view.getUint32(at, true)) {
      found.push(new Blob([bytes.subarray(at + 4, at + 4 + view.getUint32(at, true))]));
    }
    return found;
  }
  function build(place) {
    place.dataset.ready = "true";
    const row = element("div", place, "", { className: "medsr-volume-row" });
    const show = element("button", row, `Show the whole volume (${place.dataset.weight})`, { type: "button" });
    const series = element("button", row, `Show a DICOM series (${place.dataset.series})`, { type: "button" });
    const files = element("input", element("label", row, "or yours, sent nowhere: a NIfTI file, or DICOM files "), "",
      { type: "file", multiple: true });
    const folder = element("input", element("label", row, "or a folder of DICOM files "), "",
      { type: "file", webkitdirectory: true });
    const view = element("select", element("label", row, "Show ", { hidden: true }), "");
    VIEWS.forEach(([name, value]) => element("option", view, name, { value }));
    const status = element("p", place, "", { className: "medsr-volume-status" });
    status.setAttribute("role", "status");
    const stage = element("div", place, "", { className: "medsr-volume-stage", hidden: true });
    const canvas = element("canvas", stage, "", { tabIndex: 0 });
    element("p", place, "This page decodes DICOM of one slice a file: without compression, as RLE, or as JPEG of 8 bits. " +
      "JPEG Lossless, JPEG-LS and JPEG 2000 are refused: dcm2niix converts them to NIfTI, and medsr enhance reads them.",
    { className: "medsr-volume-note" });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "The volume. Arrow keys move the crosshair to the right, left, front " +
      "and back, Page Up and Page Down move it up and down.");
    let viewer = null, since = null;

    async function start() {
      if (!window.niivue) await medsrPacked.run("niivue");
      const { Niivue } = window.niivue;
      stage.hidden = false;
      viewer = new Niivue({ backColor: [0, 0, 0, 1], dragAndDropEnabled: false, loadingText: "", logLevel: "silent",
        multiplanarLayout: 2, multiplanarShowRender: 1, crosshairWidth: 0.5, crosshairColor: [1, 0.84, 0.04, 1] });
      viewer.onLocationChange = (at) => { // said once the reader has stopped
        clearTimeout(since);
        const mm = Array.from(at.mm).slice(0, 3).map((v) => Math.round(v)).join(", ");
        const value = at.values.length ? Math.round(100 * at.values[0].value) / 100 : "";
        since = setTimeout(() => { status.textContent = `${mm} mm to the right, front and top: ${value}`; }, 300);
      };
      await viewer.attachToCanvas(canvas);
    }
    async function open(name, content) { // content: a promise of {bytes, said}
      show.disabled = series.disabled = true;
      status.textContent = "Loading …";
      try {
        if (!document.createElement("canvas").getContext("webgl2")) throw new Error("this browser has no WebGL 2");
        const { bytes, said } = await content();
        if (!viewer) await start();
        viewer.volumes.slice().forEach((volume) => viewer.removeVolume(volume));
        await viewer.loadFromArrayBuffer(bytes, name);
        viewer.setSliceType(Number(view.value));
        view.parentNode.hidden = false;
        stage.dataset.shown = name;
        status.textContent = `${said} Click into a plane to move the crosshair; drag the 3-D view to turn it.`;
      } catch (error) {
        stage.hidden = !viewer || !viewer.volumes.length;
        status.textContent = `The volume cannot be shown: ${error.message || error}. Its slices are above.`;
      }
      show.disabled = series.disabled = false;
    }
    async function chosen(list, several) {
      const [file] = list;
      if (several || await medsrSeries.isDicom(file)) return medsrSeries.read(list);
      return { bytes: await file.arrayBuffer(), said: `${file.name}.` };
    }
    show.addEventListener("click", () => open("template.nii", async () => (
      { bytes: (await medsrPacked.get("template")).buffer, said: "Brain template at 2 mm." })));
    series.addEventListener("click", () => open("series.nii", async () => (
      medsrSeries.read(apart(await medsrPacked.get("series"))))));
    [files, folder].forEach((input) => input.addEventListener("change", () => {
      const list = Array.from(input.files), several = list.length > 1 || input === folder;
      if (list.length) open(several ? "series.nii" : list[0].name, () => chosen(list, several));
      input.value = ""; // the same files may be chosen again
    }));
    view.addEventListener("change", () => { if (viewer) viewer.setSliceType(Number(view.value)); });
    const steps = { ArrowRight: [1, 0, 0], ArrowLeft: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
      PageUp: [0, 0, 1], PageDown: [0, 0, -1] };
    stage.addEventListener("keydown", (event) => { // before NiiVue, whose arrow keys turn the 3-D view
      if (!viewer || !steps[event.key]) return;
      viewer.moveCrosshairInVox(...steps[event.key]);
      event.preventDefault();
      event.stopPropagation();
    }, { capture: true });
    stage.addEventListener("wheel", (event) => { // plain scrolling belongs to the page
      if (!(event.ctrlKey || event.metaKey)) event.stopPropagation();
    }, { capture: true });
  }
  document.querySelectorAll(".medsr-volume:not([data-ready])").forEach(build);
})();
