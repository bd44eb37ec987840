function (key) {
  "use strict";
  const root = document.querySelector(`[data-medsr-prediction="${key}"]`);
  const config = JSON.parse(root.dataset.config);
  const prefix = "medsr-prediction:";
  const memory = window.medsrPredictions = window.medsrPredictions || {}; // where storage is forbidden
  const read = (name) => {
    try {
      const text = localStorage.getItem(prefix + name);
      return text ? JSON.parse(text) : memory[name] || null;
    } catch (error) { return memory[name] || null; }
  };
  const keep = (name, entry) => {
    memory[name] = entry;
    try { localStorage.setItem(prefix + name, JSON.stringify(entry)); } catch (error) { /* memory must do */ }
    window.dispatchEvent(new CustomEvent("medsr-prediction", { detail: name }));
  };
  const names = () => {
    const found = new Set(Object.keys(memory));
    try {
      for (let k = 0; k < localStorage.length; k++) {
        const item = localStorage.key(k);
        if (item.startsWith(prefix)) found.add(item.slice(prefix.length));
      }
    } catch (error) { /* memory must do */ }
    return [...found].filter((name) => name.startsWith(config.name)).sort();
  };
  const make = (tag, parent, properties = {}) => parent.appendChild(Object.assign(document.createElement(tag), properties));
  const tidy = (value) => typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value);

  root.querySelector(".medsr-plain").style.display = "none";
  const box = make("div", root, { className: "medsr-box" });

  function picture(parent, source, label, strokes, onStroke) {
    const canvas = make("canvas", parent);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    const image = new Image();
    const draw = () => {
      const pen = canvas.getContext("2d");
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      pen.strokeStyle = "#ffd60a";
      pen.lineWidth = canvas.width / 90;
      pen.lineCap = pen.lineJoin = "round";
      for (const stroke of strokes()) {
        pen.beginPath();
        stroke.forEach(([x, y], k) => pen[k ? "lineTo" : "moveTo"](x * canvas.width, y * canvas.height));
        if (stroke.length === 1) pen.lineTo(stroke[0][0] * canvas.width + 0.1, stroke[0][1] * canvas.height);
        pen.stroke();
      }
    };
    image.onload = () => {
      const grow = Math.max(1, Math.ceil(384 / image.width));
      canvas.width = image.width * grow;
      canvas.height = image.height * grow;
      canvas.getContext("2d").imageSmoothingEnabled = false;
      draw();
    };
    image.src = source;
    if (onStroke) {
      const at = (event) => {
        const area = canvas.getBoundingClientRect();
        return [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height]
          .map((part) => Number(Math.min(1, Math.max(0, part)).toFixed(3)));
      };
      let stroke = null;
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        stroke = [at(event)];
        onStroke(stroke);
        draw();
      });
      canvas.addEventListener("pointermove", (event) => { if (stroke) { stroke.push(at(event)); draw(); } });
      canvas.addEventListener("pointerup", () => { stroke = null; });
    }
    return draw;
  }

  function question() {
    const before = read(config.name);
    const fields = make("fieldset", box);
    make("legend", fields, { textContent: `Your prediction: ${config.question}` });
    let answer = before ? before.answer : null;
    const row = document.createElement("div");
    row.className = "medsr-row";
    if (config.kind === "choice") {
      config.choices.forEach((choice) => {
        const label = make("label", fields, { className: "medsr-option" });
        const dot = make("input", label, { type: "radio", name: key, value: choice, checked: choice === answer });
        label.append(` ${choice}`);
        dot.addEventListener("change", () => { answer = choice; });
      });
      fields.append(row);
    } else if (config.kind === "number") {
      fields.append(row);
      const label = make("label", row, { textContent: config.unit || "number" });
      const slider = make("input", row, { type: "range", min: config.low, max: config.high, step: config.step });
      label.htmlFor = slider.id = `${key}-slider`;
      slider.value = answer === null ? (config.low + config.high) / 2 : answer;
      const value = make("output", row, { textContent: answer === null ? "move it" : `${tidy(answer)} ${config.unit}` });
      slider.addEventListener("input", () => {
        answer = Number(slider.value);
        value.textContent = `${tidy(answer)} ${config.unit}`;
      });
    } else {
      answer = answer || [];
      const draw = picture(fields, config.source, config.question, () => answer, (stroke) => answer.push(stroke));
      fields.append(row);
      make("button", row, { type: "button", textContent: "Wipe off" }).addEventListener("click", () => {
        answer.length = 0;
        draw();
      });
    }
    const button = make("button", row, { type: "button", textContent: "Keep my prediction" });
    const said = make("p", box, { className: "medsr-said" });
    said.setAttribute("role", "status");
    if (before) said.textContent = "Kept in this browser.";
    button.addEventListener("click", () => {
      if (answer === null || answer.length === 0) {
        said.textContent = "Choose first.";
        return;
      }
      keep(config.name, { question: config.question, answer: answer });
      said.textContent = "Kept in this browser. Go on, and see what is measured.";
    });
  }

  function told() {
    const show = () => {
      const entry = read(config.name);
      box.textContent = "";
      if (config.asked === "sketch") {
        make("p", box, { textContent: entry ? "Measured, with your sketch:" : "Measured:" });
        picture(box, config.source, `${config.question}: what was measured`, () => entry ? entry.answer : []);
        return;
      }
      const unit = config.unit ? ` ${config.unit}` : "";
      const line = make("p", box, { className: "medsr-said" });
      line.append("Measured: ");
      make("b", line, { textContent: tidy(config.measured) + unit });
      if (!entry) return;
      const right = typeof config.measured === "number"
        ? Math.abs(entry.answer - config.measured) <= config.close : entry.answer === config.measured;
      line.append(`. You predicted ${tidy(entry.answer)}${unit}: ${right ? "✓ right." : "✗ not so."}`);
      if (entry.right !== right || entry.measured !== tidy(config.measured) + unit) {
        keep(config.name, Object.assign(entry, { measured: tidy(config.measured) + unit, right: right }));
      }
    };
    show();
    window.addEventListener("medsr-prediction", (event) => { if (event.detail === config.name) show(); });
  }

  function record() {
    const show = () => {
      box.textContent = "";
      const entries = names().map(read).filter((entry) => entry && entry.right !== undefined);
      if (!entries.length) {
        make("p", box, { textContent: "You kept no prediction in this chapter." });
        return;
      }
      const right = entries.filter((entry) => entry.right).length;
      make("p", box, { textContent: `Your predictions: ${right} of ${entries.length} right. They stay in this browser.` });
      const table = make("table", box);
      const head = make("tr", table);
      ["", "question", "you", "measured"].forEach((text) => make("th", head, { textContent: text, scope: "col" }));
      entries.forEach((entry) => {
        const row = make("tr", table);
        [entry.right ? "✓" : "✗", entry.question, tidy(entry.answer), entry.measured]
          .forEach((text) => make("td", row, { textContent: text }));
      });
    };
    show();
    window.addEventListener("medsr-prediction", show);
  }

  ({ choice: question, number: question, sketch: question, told: told, record: record })[config.kind]();
}
