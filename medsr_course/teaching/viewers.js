function (key) {
  "use strict";
  // The same notebook may be open in two views: take every copy that has not been built yet.
  var roots = document.querySelectorAll('[data-medsr-viewer="' + key + '"]:not([data-ready])');
  Array.prototype.forEach.call(roots, build);

  function element(tag, className, parent, text) {
    var node = document.createElement(tag);
    if (className) node.className = className;
    if (text) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  }

  function build(root) {
    var config = JSON.parse(root.dataset.config);
    var fallback = root.querySelector(".medsr-fallback");
    var pictures = Array.prototype.map.call(fallback.querySelectorAll("img"), function (img) {
      return { title: img.alt, source: img.src, left: img.dataset.left, bottom: img.dataset.bottom };
    });
    var live = element("div", "medsr-live");
    var width = config.most || Math.round(Math.min(560, 560 * config.aspect));
    live.style.setProperty("--medsr-width", width + "px");
    if (config.kind === "compare") buildCompare(live, config, pictures);
    else if (config.kind === "reading") buildReading(live, config, pictures);
    else buildSlider(live, config, pictures);
    // JupyterLab's own keyboard shortcuts would take the arrow keys: it asks the focused element itself.
    live.querySelectorAll("input, select, button, [tabindex]").forEach(function (node) {
      node.setAttribute("data-lm-suppress-shortcuts", "true");
    });
    root.insertBefore(live, fallback);
    fallback.style.display = "none";
    root.setAttribute("data-ready", "true");
  }

  function makeStage(live, config) {
    var stage = element("div", "medsr-stage" + (config.pixelated ? " medsr-pixelated" : ""), live);
    stage.style.aspectRatio = String(config.aspect);
    return stage;
  }

  function makeLayer(stage) {
    var layer = element("div", "medsr-layer", stage);
    var move = element("div", "medsr-move", layer);
    var img = element("img", "", move);
    img.draggable = false;
    return { layer: layer, move: move, img: img };
  }

  function put(layer, picture) {
    layer.img.src = picture.source;
    layer.img.alt = picture.title;
    layer.img.style.left = picture.left + "%";
    layer.img.style.bottom = picture.bottom + "%";
  }

  function scaleBar(stage, mm) {
    if (!mm) return function () {};
    var bar = element("div", "medsr-scale", stage);
    return function (zoom) {
      var seen = mm / zoom; // mm across the stage
      var lengths = [100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1];
      var length = lengths.find(function (l) { return l <= 0.3 * seen; }) || 0.1;
      bar.style.width = (100 * length) / seen + "%";
      bar.textContent = length >= 10 ? length / 10 + " cm" : length + " mm";
    };
  }

  function buildSlider(live, config, pictures) {
    var stage = makeStage(live, config);
    var layer = makeLayer(stage);
    var drawScale = scaleBar(stage, config.mm);
    var row = element("div", "medsr-range", live);
    var label = element("span", "", row, config.label);
    var range = element("input", "", row);
    range.type = "range";
    range.min = 0;
    range.max = pictures.length - 1;
    range.step = 1;
    range.value = config.start[0];
    range.setAttribute("aria-label", config.label);
    var out = element("output", "", row);
    function draw() {
      var picture = pictures[Number(range.value)];
      put(layer, picture);
      label.textContent = config.label + ":";
      out.textContent = picture.title;
      range.setAttribute("aria-valuetext", picture.title);
    }
    // Keep the slider still while labels of different length come and go.
    out.style.minWidth = Math.max.apply(null, pictures.map(function (p) { return p.title.length; })) * 0.62 + "em";
    stage.style.cursor = "default";
    range.addEventListener("input", draw);
    drawScale(1);
    draw();
  }

  function buildReading(live, config, pictures) {
    var stage = makeStage(live, config);
    var layer = makeLayer(stage);
    stage.style.cursor = "default";
    ["top", "bottom", "left", "right"].forEach(function (side) {
      element("div", "medsr-mark medsr-mark-" + side, stage); // they point at the place in question
    });
    var status = element("p", "medsr-hint", live);
    status.setAttribute("aria-live", "polite");
    var bar = element("div", "medsr-bar", live);
    var result = element("div", "", live);
    var key = "medsr-reading-" + config.name;
    var order = [], answers = [], since = 0;
    function button(text, action) {
      var node = element("button", "", bar, text);
      node.type = "button";
      node.setAttribute("data-lm-suppress-shortcuts", "true");
      node.addEventListener("click", action);
      return node;
    }
    var yes = button("Lesion", function () { answer(true); });
    var no = button("No lesion", function () { answer(false); });
    var begin = button("Begin", start);
    function keep(value) { // storage may be forbidden: then the answers live as long as the page
      try { window.localStorage.setItem(key, value); } catch (error) { return; }
    }
    function kept() {
      try { return window.localStorage.getItem(key); } catch (error) { return null; }
    }
    function running(on) {
      yes.disabled = no.disabled = !on;
      begin.style.display = on ? "none" : "";
      stage.style.display = on ? "" : "none";
    }
    function start() {
      order = config.cases.map(function (_, i) { return i; });
      for (var i = order.length - 1; i > 0; i--) { // Fisher–Yates: another order every time
        var j = Math.floor(Math.random() * (i + 1)), held = order[i];
        order[i] = order[j];
        order[j] = held;
      }
      answers = [];
      result.textContent = "";
      running(true);
      next();
    }
    function next() {
      if (answers.length === order.length) { finish(); return; }
      var picture = pictures[order[answers.length]];
      put(layer, { source: picture.source, title: "case", left: 0, bottom: 0 });
      status.textContent = "Case " + (answers.length + 1) + " of " + order.length + ": is there a lesion in the centre?";
      since = performance.now();
    }
    function answer(said) {
      var one = config.cases[order[answers.length]];
      var seconds = Math.round(performance.now() - since) / 1000;
      answers.push({ type: one.type, case: one.case, lesion: one.lesion, said: said, seconds: seconds });
      next();
    }
    function finish() {
      running(false);
      keep(JSON.stringify(answers));
      begin.textContent = "Once more";
      show();
    }
    function middle(values) {
      var sorted = values.slice().sort(function (a, b) { return a - b; }), half = Math.floor(sorted.length / 2);
      return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    }
    function show() {
      status.textContent = "Your answers stay in this browser.";
      result.textContent = "";
      var table = element("table", "medsr-reading", result);
      var head = element("tr", "", element("thead", "", table));
      ["images", "your hits", "your false alarms", "seconds per case", "model's hits", "model's false alarms"]
        .forEach(function (text) { element("th", "", head, text); });
      var body = element("tbody", "", table), types = [];
      config.cases.forEach(function (one) { if (types.indexOf(one.type) < 0) types.push(one.type); });
      types.forEach(function (type) {
        var mine = answers.filter(function (a) { return a.type === type; });
        var there = mine.filter(function (a) { return a.lesion; });
        var none = mine.filter(function (a) { return !a.lesion; });
        function said(list) { return list.filter(function (a) { return a.said; }).length + " of " + list.length; }
        var other = config.beside.find(function (row) { return row[0] === type; }) || [type, "–", "–"];
        var seconds = middle(mine.map(function (a) { return a.seconds; })).toFixed(1);
        var row = element("tr", "", body);
        [type, said(there), said(none), seconds, other[1], other[2]].forEach(function (text) {
          element("td", "", row, text);
        });
      });
      element("p", "medsr-hint", result, "To go on with them in a notebook, copy this text:");
      var text = element("textarea", "", result);
      text.readOnly = true;
      text.rows = 3;
      text.setAttribute("aria-label", "Your answers as text");
      text.value = JSON.stringify(answers);
    }
    running(false);
    status.textContent = config.cases.length + " cases, one at a time; the clock runs.";
    var before = kept();
    if (before) {
      try { answers = JSON.parse(before); } catch (error) { answers = []; }
      var fits = answers.length === config.cases.length && answers.every(function (a) {
        return config.cases.some(function (one) { return one.type === a.type && one.lesion === a.lesion; });
      });
      if (fits) { begin.textContent = "Once more"; show(); }
    }
  }

  function buildCompare(live, config, pictures) {
    var state = { at: 50, zoom: 1, x: 0, y: 0 };
    var bar = element("div", "medsr-bar", live);
    var selects = ["Left", "Right"].map(function (side, i) {
      var label = element("label", "", bar, side);
      var select = element("select", "", label);
      pictures.forEach(function (picture) { element("option", "", select, picture.title); });
      select.selectedIndex = config.start[i];
      select.setAttribute("aria-label", side + " image");
      select.addEventListener("change", choose);
      return select;
    });
    var tools = element("span", "medsr-tools", bar);
    function button(text, label, action) {
      var node = element("button", "", tools, text);
      node.type = "button";
      node.title = label;
      node.setAttribute("aria-label", label);
      node.addEventListener("click", action);
      return node;
    }
    button("−", "Zoom out", function () { zoomBy(1 / 1.5); });
    button("+", "Zoom in", function () { zoomBy(1.5); });
    button("Reset", "Reset the view", function () {
      state = { at: 50, zoom: 1, x: 0, y: 0 };
      draw();
    });
    var zoomText = element("output", "", tools);
    zoomText.setAttribute("aria-label", "Zoom");

    var stage = makeStage(live, config);
    stage.tabIndex = 0;
    stage.setAttribute("role", "group");
    stage.setAttribute("aria-label", "Image comparison: plus and minus zoom, arrow keys pan, 0 resets");
    var layers = [makeLayer(stage), makeLayer(stage)];
    var names = [
      element("div", "medsr-name medsr-name-left", stage),
      element("div", "medsr-name medsr-name-right", stage),
    ];
    var drawScale = scaleBar(stage, config.mm);
    var divider = element("div", "medsr-divider", stage);

    var row = element("div", "medsr-range", live);
    var range = element("input", "", row);
    range.type = "range";
    range.min = 0;
    range.max = 100;
    range.step = 1;
    range.setAttribute("aria-label", "Divider between left and right image, percent");
    range.addEventListener("input", function () {
      state.at = Number(range.value);
      draw();
    });
    element("p", "medsr-hint", live,
      "Drag the divider, or the slider below the image. Zoom with the buttons, with Ctrl + wheel or two fingers; " +
      "then drag the image to move it.");

    function choose() {
      selects.forEach(function (select, i) {
        put(layers[i], pictures[select.selectedIndex]);
        names[i].textContent = pictures[select.selectedIndex].title;
      });
    }
    function clamp(v, low, high) { return Math.min(Math.max(v, low), high); }
    function draw() {
      state.zoom = clamp(state.zoom, 1, 24);
      // x and y: the corner's position in fractions of the stage, so that a resize changes nothing.
      state.x = clamp(state.x, 1 - state.zoom, 0);
      state.y = clamp(state.y, 1 - state.zoom, 0);
      state.at = clamp(state.at, 0, 100);
      var move = "translate(" + 100 * state.x + "%, " + 100 * state.y + "%) scale(" + state.zoom + ")";
      layers.forEach(function (layer) { layer.move.style.transform = move; });
      layers[1].layer.style.clipPath = "inset(0 0 0 " + state.at + "%)";
      layers[0].layer.style.clipPath = "inset(0 " + (100 - state.at) + "% 0 0)";
      divider.style.left = state.at + "%";
      names[0].style.visibility = state.at < 4 ? "hidden" : "visible";
      names[1].style.visibility = state.at > 96 ? "hidden" : "visible";
      stage.classList.toggle("medsr-zoomed", state.zoom > 1);
      range.value = Math.round(state.at);
      zoomText.textContent = (Math.round(state.zoom * 10) / 10) + "×";
      drawScale(state.zoom);
    }
    function zoomBy(factor, x, y) {
      if (x === undefined) { x = 0.5; y = 0.5; }
      var next = clamp(state.zoom * factor, 1, 24);
      if (next < 1.01) next = 1;
      state.x = x - (x - state.x) * (next / state.zoom);
      state.y = y - (y - state.y) * (next / state.zoom);
      state.zoom = next;
      draw();
    }
    function where(event) {
      var box = stage.getBoundingClientRect();
      return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
    }

    var pointers = {}, mode = null;
    stage.addEventListener("pointerdown", function (event) {
      if (event.button) return;
      pointers[event.pointerId] = where(event);
      stage.setPointerCapture(event.pointerId);
      var n = Object.keys(pointers).length;
      if (n === 2) mode = "pinch";
      else mode = state.zoom === 1 || event.target === divider ? "wipe" : "pan";
      // Captured events come to the stage: remember what was taken hold of.
      if (mode === "wipe" && event.pointerType === "mouse") { state.at = 100 * where(event).x; draw(); }
      if (event.pointerType === "mouse") { stage.focus({ preventScroll: true }); event.preventDefault(); }
    });
    stage.addEventListener("pointermove", function (event) {
      var before = pointers[event.pointerId];
      if (!before) return;
      var now = where(event);
      if (mode === "wipe") state.at = 100 * now.x;
      if (mode === "pan") { state.x += now.x - before.x; state.y += now.y - before.y; }
      if (mode === "pinch") {
        var other = pointers[Object.keys(pointers).find(function (id) { return Number(id) !== event.pointerId; })];
        if (other) {
          var was = Math.hypot(before.x - other.x, before.y - other.y) || 0.01;
          zoomBy(Math.hypot(now.x - other.x, now.y - other.y) / was, (now.x + other.x) / 2, (now.y + other.y) / 2);
        }
      }
      pointers[event.pointerId] = now;
      draw();
    });
    ["pointerup", "pointercancel"].forEach(function (name) {
      stage.addEventListener(name, function (event) {
        delete pointers[event.pointerId];
        if (!Object.keys(pointers).length) mode = null;
        else if (mode === "pinch") mode = "pan";
      });
    });
    stage.addEventListener("wheel", function (event) {
      // Plain scrolling belongs to the page until the reader has clicked into the image.
      if (!(event.ctrlKey || event.metaKey || document.activeElement === stage)) return;
      event.preventDefault();
      var at = where(event);
      zoomBy(Math.exp(-clamp(event.deltaY, -120, 120) / 300), at.x, at.y);
    }, { passive: false });
    stage.addEventListener("keydown", function (event) {
      var step = 0.1;
      if (event.key === "+" || event.key === "=") zoomBy(1.5);
      else if (event.key === "-") zoomBy(1 / 1.5);
      else if (event.key === "0") { state.zoom = 1; draw(); }
      else if (event.key === "ArrowLeft" && state.zoom > 1) { state.x += step; draw(); }
      else if (event.key === "ArrowRight" && state.zoom > 1) { state.x -= step; draw(); }
      else if (event.key === "ArrowUp" && state.zoom > 1) { state.y += step; draw(); }
      else if (event.key === "ArrowDown" && state.zoom > 1) { state.y -= step; draw(); }
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    choose();
    draw();
  }
}
