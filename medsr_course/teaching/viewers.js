// Viewers of one notebook output, or of a page. An output holds this together with fourier.js, viewers_scene.js,
// viewers_tools.js and viewers_reading.js in one function: see viewers.script.

function element(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}

// The same notebook may be open in two views: take every copy that has not been built yet.
function buildAll(key) {
  document.querySelectorAll(`[data-medsr-viewer="${key}"]:not([data-ready])`).forEach(build);
}

function build(root) {
  const config = JSON.parse(root.dataset.config), fallback = root.querySelector(".medsr-fallback");
  const pictures = Array.from(fallback.querySelectorAll("img"), (img) => ({
    title: img.alt,
    sources: img.dataset.slices ? img.dataset.slices.split(" ") : [img.src],
    left: Number(img.dataset.left),
    bottom: Number(img.dataset.bottom),
  }));
  const live = element("div", "medsr-live");
  live.style.setProperty("--medsr-width", (config.most || Math.round(Math.min(560, 560 * config.aspect))) + "px");
  root.insertBefore(live, fallback);
  fallback.style.display = "none";
  if (config.kind === "reading") buildReading(live, config, pictures);
  else if (config.shape) buildSlices(live, config, pictures);
  else buildFigures(live, config, pictures);
  // JupyterLab's own keyboard shortcuts would take the arrow keys: it asks the focused element itself.
  live.querySelectorAll("input, select, button, summary, [tabindex]").forEach((node) => {
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  });
  root.setAttribute("data-ready", "true");
}

// A stage of ordinary images: figures, colours, cases of a reading study.
function makeStage(live, config) {
  const stage = element("div", "medsr-stage" + (config.pixelated ? " medsr-pixelated" : ""), live);
  stage.style.aspectRatio = String(config.aspect);
  return stage;
}

function makeLayer(stage) {
  const layer = element("div", "medsr-layer", stage), img = element("img", "", layer);
  img.draggable = false;
  return { layer, img };
}

function put(layer, picture) {
  layer.img.src = picture.sources[0];
  layer.img.alt = picture.title;
}

function scaleBar(stage, mm) {
  if (!mm) return () => {};
  const bar = element("div", "medsr-scale", stage), text = element("span", "", bar);
  return (zoom) => { // 0: what is seen is not measured in mm
    const seen = mm / zoom; // mm across the stage
    const length = [100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1].find((l) => l <= 0.3 * seen) || 0.1;
    bar.style.display = zoom ? "" : "none";
    bar.style.width = (100 * length) / seen + "%";
    text.textContent = length >= 10 ? length / 10 + " cm" : length + " mm";
  };
}

// A row with a slider: {row, range, out}; `name` is seen, and spoken.
function makeRange(parent, name, least, most, value, step = 1) {
  const row = element("div", "medsr-range", parent), label = element("label", "", row);
  element("span", "", label, name);
  const range = element("input", "", label);
  range.type = "range";
  Object.assign(range, { min: least, max: most, step });
  range.value = value;
  range.setAttribute("aria-label", name);
  return { row, range, out: element("output", "", row) };
}

// Which of several frames is seen: the slider keeps still while names of different length come and go.
function frameRange(parent, name, titles, first, changed) {
  const { row, range, out } = makeRange(parent, name, 0, titles.length - 1, first);
  out.style.minWidth = Math.min(24, 0.62 * Math.max(...titles.map((t) => t.length))) + "em";
  function show() {
    out.textContent = titles[Number(range.value)];
    range.setAttribute("aria-valuetext", titles[Number(range.value)]);
    changed(Number(range.value));
  }
  range.addEventListener("input", show);
  row.hidden = titles.length < 2;
  return { row, range, show };
}

function buildFigures(live, config, pictures) {
  const stage = makeStage(live, config), layer = makeLayer(stage);
  stage.style.cursor = "default";
  frameRange(live, config.label, pictures.map((p) => p.title), config.start[0], (k) => put(layer, pictures[k])).show();
}
