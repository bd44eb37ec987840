// Slices with everything to look at them by: two of several compared, or frame after frame. Part of viewers.js.

const BLUE_AND_ORANGE = { light: ["#0072b2", "#b34700"], dark: ["#56b4e9", "#e69f00"] };

function buildSlices(live, config, pictures) {
  const two = config.kind === "compare", bar = two ? element("div", "medsr-bar", live) : null;
  const tools = element("div", "medsr-bar medsr-tools", live);
  const stage = element("div", "medsr-stage medsr-scene", live);
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", two ? "Image comparison" : "Image");
  stage.setAttribute("aria-description", (two ? "B: blink. D: difference. Left and right: divider. " : "") +
    "K: k-space. S: smooth. P: profile. Plus, minus: zoom; then arrows: pan. Shift and arrows: read values. 0: reset.");
  const scene = makeScene(stage, config), plot = element("canvas", "medsr-plot", live);
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", "Values along a row");
  const value = element("output", "medsr-value", live);
  const spoken = element("div", "medsr-spoken", live);
  spoken.setAttribute("role", "status");
  spoken.setAttribute("aria-live", "polite");
  const state = { at: 50, blink: null, slice: 0, chosen: config.start.slice() };
  const names = two ? ["left", "right"].map((side) => element("div", `medsr-name medsr-name-${side}`, stage)) : [];
  const divider = two ? element("div", "medsr-divider", stage) : null;
  const shown = () => state.chosen.map((k) => pictures[k]);
  let since = null;

  function say(words) { // once the reader has stopped, and not at every step
    clearTimeout(since);
    since = setTimeout(() => { spoken.textContent = words; }, 350);
  }
  function sentence() {
    const [a, b] = shown().map((p) => p.title), zoom = `zoom ${scene.zoom()}`;
    if (!two) return `${a}${scene.view === "k-space" ? ", k-space" : ""}, ${zoom}`;
    if (state.blink !== null) return `Only ${[a, b][state.blink]}, ${zoom}`;
    if (scene.view === "difference") return `${b} minus ${a}, times ${scene.gain}, ${zoom}`;
    const what = scene.view === "k-space" ? "k-space of " : "";
    return `${what}${a} left, ${b} right, divided at ${Math.round(state.at)} percent, ${zoom}`;
  }
  function readOut() {
    const values = scene.view === "k-space" ? [] : shown().map((p) => scene.read(p));
    if (!scene.cursor || !values.length || values.includes(null)) {
      value.textContent = two ? "Point at the image to read its values." : "Point at the image to read its value.";
      return "";
    }
    const told = shown().map((p, k) => `${p.title} ${scene.words(values[k])}`);
    const rest = two ? ` · difference ${scene.words(values[1] - values[0])}` : "";
    value.textContent = `row ${scene.cursor.row}, column ${scene.cursor.column}: ${told.join(" · ")}${rest}`;
    return value.textContent;
  }
  function load() { // the pictures that are seen, of the slice that is seen
    return Promise.all(shown().map(async (picture) => {
      const source = picture.sources[state.slice] || picture.sources[0];
      picture.greys = picture.greys || {};
      picture.greys[state.slice] = picture.greys[state.slice] || await greyValues(source, colourTable(config.colours));
      picture.key = `${pictures.indexOf(picture)}/${state.slice}`;
      picture.grey = picture.greys[state.slice];
    }));
  }
  async function choose() {
    await load();
    draw();
  }
  function draw() {
    const [a, b] = shown();
    if (!a.grey || (two && !b.grey)) return;
    state.at = Math.max(0, Math.min(100, state.at));
    const difference = two && scene.view === "difference" && state.blink === null, cut = state.at / 100;
    if (difference) scene.drawDifference(a, b);
    else if (!two) scene.draw([[a, 0, 1]]);
    else if (state.blink !== null) scene.draw([[shown()[state.blink], 0, 1]]);
    else scene.draw([[a, 0, cut], [b, cut, 1]]);
    if (two) {
      const titles = difference ? ["", `${b.title} − ${a.title}, ×${scene.gain}`] : [a.title, b.title];
      const seen = difference ? [false, true] : state.blink !== null ? [state.blink === 0, state.blink === 1]
        : [state.at >= 4, state.at <= 96];
      names.forEach((name, k) => {
        name.textContent = titles[k];
        name.style.visibility = seen[k] ? "visible" : "hidden";
      });
      divider.style.display = difference || state.blink !== null ? "none" : "";
      divider.style.left = state.at + "%";
      wipe.range.value = Math.round(state.at);
      wipe.out.textContent = Math.round(state.at) + " %";
      gain.parentNode.style.display = scene.view === "difference" ? "" : "none";
      blink.setAttribute("aria-pressed", String(state.blink !== null));
    }
    zoom.textContent = scene.zoom();
    drawProfile();
    readOut();
  }
  function drawProfile() {
    const on = profile.checked && scene.view !== "k-space";
    plot.style.display = on ? "block" : "none";
    if (!on) return;
    const [rows, columns] = config.shape;
    if (!scene.cursor) scene.cursor = { row: rows >> 1, column: columns >> 1 };
    scene.seen = shown();
    const dark = getComputedStyle(plot).color.match(/[\d.]+/g).slice(0, 3).reduce((s, v) => s + Number(v), 0) > 380;
    scene.profile(plot, BLUE_AND_ORANGE[dark ? "dark" : "light"]);
    plot.setAttribute("aria-label", `Values along row ${scene.cursor.row}`);
  }
  function changed() {
    draw();
    say(sentence());
  }

  // Controls, in the order of the tab key.
  const selects = two ? ["Left", "Right"].map((side, i) => {
    const label = element("label", "", bar, side), select = element("select", "", label);
    pictures.forEach((picture) => element("option", "", select, picture.title));
    select.selectedIndex = config.start[i];
    select.setAttribute("aria-label", side + " image");
    select.addEventListener("change", () => {
      state.chosen[i] = select.selectedIndex;
      choose().then(() => say(sentence()));
    });
    return select;
  }) : [];
  function choice(name, options, action) {
    const label = element("label", "", tools, name), select = element("select", "", label);
    options.forEach(([text, key]) => { element("option", "", select, text).value = key; });
    select.setAttribute("aria-label", name);
    select.addEventListener("change", () => { action(select.value); changed(); });
    return select;
  }
  function button(text, label, action) {
    const node = element("button", "", tools, text);
    node.type = "button";
    node.title = label;
    node.setAttribute("aria-label", label);
    node.addEventListener("click", action);
    return node;
  }
  function tick(text, label, action) {
    const node = element("label", "medsr-tick", tools), box = element("input", "", node);
    box.type = "checkbox";
    node.title = label;
    element("span", "", node, text);
    box.addEventListener("change", () => { action(box.checked); changed(); });
    return box;
  }
  const views = two ? [["images", "image"], ["difference", "difference"], ["k-space", "k-space"]]
    : [["image", "image"], ["k-space", "k-space"]];
  const view = choice("Show", views, (key) => { scene.view = key; state.blink = null; });
  const gain = two ? choice("Gain", [1, 2, 4, 8, 16].map((g) => ["×" + g, g]), (g) => { scene.gain = Number(g); }) : null;
  const blink = two ? button("Blink", "Blink between the two images, key B", () => flip()) : null;
  const smooth = tick("Smooth", "Smooth between samples, or show them as squares, key S", (on) => { scene.smooth = on; });
  const profile = tick("Profile", "Values along a row, key P", (on) => { scene.marked = on; });
  button("−", "Zoom out", () => { scene.zoomBy(1 / 1.5); changed(); });
  button("+", "Zoom in", () => { scene.zoomBy(1.5); changed(); });
  const zoom = element("output", "", tools);
  zoom.setAttribute("aria-label", "Zoom");
  button("Reset", "Reset the view", reset);

  const wipe = two ? makeRange(live, "Divider", 0, 100, 50) : null;
  if (two) {
    wipe.range.setAttribute("aria-label", "Divider between left and right image, percent");
    wipe.range.addEventListener("input", () => { state.at = Number(wipe.range.value); state.blink = null; changed(); });
  }
  const frames = two ? null : frameRange(live, config.label, pictures.map((p) => p.title), config.start[0], (k) => {
    state.chosen = [k];
    choose().then(() => say(sentence()));
  });
  if (config.slices > 1) {
    const titles = Array.from({ length: config.slices }, (_, k) => String(k));
    state.slice = config.slices >> 1;
    frameRange(live, "Slice", titles, state.slice, (k) => { state.slice = k; choose(); }).show();
  }
  const more = element("details", "medsr-more", live);
  element("summary", "", more, "Brightness");
  const [level, width] = [["Level", 0, 127.5], ["Width", 1, 255]].map(([name, least, value]) => {
    const made = makeRange(more, name, least, 255, value, 0.5);
    made.range.addEventListener("input", setWindow);
    return made;
  });
  function setWindow() {
    scene.setWindow(Number(level.range.value), Number(width.range.value));
    const [low, high] = config.window || [0, 1];
    [[level, scene.value(scene.level)], [width, (scene.width / 255) * (high - low)]].forEach(([made, v]) => {
      made.out.textContent = scene.words(v);
      made.range.setAttribute("aria-valuetext", scene.words(v));
    });
    draw();
  }
  live.append(plot, value, spoken);
  element("p", "medsr-hint", live, two
    ? "Drag the divider. Zoom with the buttons, Ctrl + wheel or two fingers; then drag the image. In the image, B " +
      "blinks, and Shift with the arrow keys reads values."
    : "Zoom with the buttons, Ctrl + wheel or two fingers; then drag the image. In the image, Shift with the arrow keys " +
      "reads values.");

  function flip() {
    state.blink = state.blink === 0 ? 1 : 0;
    if (scene.view === "difference") view.value = scene.view = "image";
    changed();
  }
  function reset() {
    Object.assign(state, { at: 50, blink: null });
    Object.assign(scene, { view: "image", gain: 1, smooth: false, scale: scene.fit, x: 0, y: 0, cursor: null,
      marked: false });
    view.value = "image";
    smooth.checked = profile.checked = false;
    if (gain) gain.value = "1";
    level.range.value = 127.5;
    width.range.value = 255;
    setWindow();
    changed();
  }
  const keys = {
    "+": () => scene.zoomBy(1.5), "=": () => scene.zoomBy(1.5), "-": () => scene.zoomBy(1 / 1.5),
    s: () => { smooth.checked = scene.smooth = !scene.smooth; },
    p: () => { profile.checked = scene.marked = !scene.marked; },
    k: () => { view.value = scene.view = scene.view === "k-space" ? "image" : "k-space"; state.blink = null; },
    ...(two && { d: () => {
      view.value = scene.view = scene.view === "difference" ? "image" : "difference";
      state.blink = null;
    } }),
  };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [rows, columns] = config.shape, name = event.key.toLowerCase();
    if (way && event.shiftKey) {
      const from = scene.cursor || { row: rows >> 1, column: columns >> 1 };
      scene.cursor = { row: Math.max(0, Math.min(rows - 1, from.row - way[1])),
        column: Math.max(0, Math.min(columns - 1, from.column + way[0])) };
      scene.marked = true;
      draw();
      say(readOut());
    } else if (way && scene.zoomed()) {
      const [w, h] = scene.span();
      scene.x += 0.1 * w * way[0];
      scene.y += 0.1 * h * way[1];
      changed();
    } else if (way && two && way[0]) {
      state.at += way[0];
      state.blink = null;
      changed();
    } else if (event.key === "0") reset();
    else if (name === "b" && two) flip();
    else if (keys[name]) { keys[name](); changed(); } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  followPointers(stage, divider, scene, state, { draw, say: () => say(sentence()) });
  let room = 0;
  function again() { scene.layout(); draw(); }
  new ResizeObserver(() => { // the height follows from what is drawn
    if (live.clientWidth !== room) again();
    room = live.clientWidth;
  }).observe(live);
  window.addEventListener("resize", again);
  scene.layout();
  setWindow();
  if (frames) frames.show(); else choose();
}

function followPointers(stage, divider, scene, state, { draw, say }) {
  const pointers = {};
  let mode = null;
  function where(event) {
    const box = stage.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  }
  function read(event) {
    const at = where(event);
    scene.cursor = scene.at(at.x, at.y);
  }
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers[event.pointerId] = where(event);
    stage.setPointerCapture(event.pointerId);
    const wipes = divider && (!scene.zoomed() || event.target === divider);
    // Captured events come to the stage: remember what was taken hold of.
    mode = Object.keys(pointers).length === 2 ? "pinch" : wipes ? "wipe" : "pan";
    read(event);
    if (mode === "wipe" && event.pointerType === "mouse") { state.at = 100 * where(event).x; state.blink = null; }
    if (event.pointerType === "mouse") { stage.focus({ preventScroll: true }); event.preventDefault(); }
    draw();
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers[event.pointerId], now = where(event);
    read(event);
    if (before) {
      const [w, h] = scene.span();
      if (mode === "wipe") { state.at = 100 * now.x; state.blink = null; }
      if (mode === "pan") { scene.x -= (now.x - before.x) * w; scene.y -= (now.y - before.y) * h; }
      const other = pointers[Object.keys(pointers).find((id) => Number(id) !== event.pointerId)];
      if (mode === "pinch" && other) {
        // Whole steps: what is left of a step waits until the fingers have made it.
        const was = Math.hypot(before.x - other.x, before.y - other.y) || 0.01;
        const factor = Math.hypot(now.x - other.x, now.y - other.y) / was;
        if (Math.abs(Math.log(factor)) < 0.1) return;
        scene.zoomBy(factor, (now.x + other.x) / 2, (now.y + other.y) / 2);
      }
      pointers[event.pointerId] = now;
    }
    draw();
  });
  ["pointerup", "pointercancel"].forEach((name) => stage.addEventListener(name, (event) => {
    delete pointers[event.pointerId];
    if (!Object.keys(pointers).length) mode = null;
    else if (mode === "pinch") mode = "pan";
    say();
  }));
  stage.addEventListener("pointerleave", () => {
    if (!mode && !scene.marked) { scene.cursor = null; draw(); }
  });
  let turned = 0;
  stage.addEventListener("wheel", (event) => {
    if (!(event.ctrlKey || event.metaKey)) return; // plain scrolling belongs to the page
    event.preventDefault();
    turned += Math.max(-120, Math.min(120, event.deltaY)) / 300;
    if (Math.abs(turned) < 0.1) return;
    const at = where(event);
    scene.zoomBy(Math.exp(-turned), at.x, at.y);
    turned = 0;
    draw();
    say();
  }, { passive: false });
}
