// A reading study: patches one at a time, with a clock; answers stay in the browser. Part of viewers.js.
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
    put(layer, { sources: picture.sources, title: "case" });
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
