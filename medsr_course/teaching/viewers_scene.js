// The canvas of a viewer: images of one field in whole screen pixels per sample, and what is measured on them.
// Part of viewers.js. Rows are counted from the bottom, as in the course's arrays; y on the screen from the top.

const MOST_ZOOM = 24, DECADES = 4; // times the whole field; decades of k-space between black and white

// The grey values (0 … 255) behind a picture: of its PNG, or its place in the colour table.
function greyValues(source, table) {
  return new Promise((resolve) => {
    const img = new Image();
    img.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = img.naturalWidth;
      canvas.height = img.naturalHeight;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(img, 0, 0);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      const values = new Uint8Array(canvas.width * canvas.height);
      for (let k = 0; k < values.length; k++) {
        const [r, g, b] = [pixels[4 * k], pixels[4 * k + 1], pixels[4 * k + 2]];
        values[k] = table ? table.index.get((r << 16) | (g << 8) | b) || 0 : r;
      }
      resolve({ values, w: canvas.width, h: canvas.height });
    };
    img.src = source;
  });
}

// From the 256 colours of a map, six hexadecimal digits each, to colours by index and indices by colour.
function colourTable(hex) {
  if (!hex) return null;
  const colours = hex.match(/.{6}/g).map((c) => parseInt(c, 16));
  return { colours, index: new Map(colours.map((c, k) => [c, k])) };
}

// A canvas (h × w) whose pixel k is grey(k), or that place of the colour table.
function painted(h, w, table, grey) {
  const canvas = document.createElement("canvas");
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext("2d"), picture = context.createImageData(w, h);
  for (let k = 0; k < h * w; k++) {
    const v = Math.max(0, Math.min(255, Math.round(grey(k)))), c = table ? table.colours[v] : v * 0x010101;
    picture.data.set([c >> 16, (c >> 8) & 255, c & 255, 255], 4 * k);
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

// log10 |F| of a picture, frequency 0 in the middle.
function logSpectrum(grey) {
  const { values, h, w } = grey, { re, im } = fourier2(values, h, w), out = new Float64Array(h * w);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const at = ((y + h - (h >> 1)) % h) * w + ((x + w - (w >> 1)) % w);
      out[y * w + x] = Math.log10(Math.hypot(re[at], im[at]) + 1e-9);
    }
  }
  return out;
}

function makeScene(stage, config) {
  const canvas = element("canvas", "", stage), context = canvas.getContext("2d"), table = colourTable(config.colours);
  const [rows, columns] = config.shape; // of the image with the most pixels
  const [low, high] = config.window || [0, 1];
  const scene = { view: "image", gain: 1, smooth: false, level: 127.5, width: 255, fit: 1, scale: 1, x: 0, y: 0,
    cursor: null, ratio: 1, seen: [] };
  const drawScale = scaleBar(stage, config.mm);
  let kept = new Map(); // what was painted, until the window changes

  function once(picture, kind, make) {
    const key = kind + picture.key;
    if (!kept.has(key)) kept.set(key, make());
    return kept.get(key);
  }
  function windowed(v) {
    return 255 * Math.max(0, Math.min(1, (v - scene.level) / scene.width + 0.5));
  }
  function bright(picture) {
    const { values, h, w } = picture.grey;
    return once(picture, "image", () => painted(h, w, table, (k) => windowed(values[k])));
  }
  function spectrum(picture) {
    const { h, w } = picture.grey, shown = { values: picture.grey.values.map((v) => windowed(v)), h, w };
    return once(picture, "k-space", () => {
      const log = logSpectrum(shown), most = log.reduce((a, b) => Math.max(a, b));
      return painted(h, w, null, (k) => (255 * (log[k] - most + DECADES)) / DECADES);
    });
  }
  // The value (0 … 255) that a picture shows at a sample of the finest grid, or null outside.
  function sample(picture, row, column) {
    const { values, h, w } = picture.grey;
    const r = Math.floor(((row + 0.5) / rows - picture.bottom / 100) * h);
    const c = Math.floor(((column + 0.5) / columns - picture.left / 100) * w);
    return r < 0 || c < 0 || r >= h || c >= w ? null : values[(h - 1 - r) * w + c];
  }
  function difference(a, b) {
    const key = { key: `${a.key}|${b.key}|${scene.gain}` };
    return once(key, "difference", () => painted(rows, columns, null, (k) => {
      const row = rows - 1 - Math.floor(k / columns), column = k % columns;
      const [p, q] = [sample(a, row, column), sample(b, row, column)];
      return p === null || q === null ? 127.5 : 127.5 + (scene.gain * (q - p)) / 2;
    }));
  }

  // How many screen pixels a sample gets: a whole number, where the field is not larger than the screen.
  scene.layout = function () {
    const room = stage.parentNode.clientWidth || columns;
    const tall = window.innerHeight > 400 ? window.innerHeight - 190 : window.screen.availHeight - 320;
    const ratio = scene.ratio = window.devicePixelRatio || 1;
    const most = Math.min(Math.min(room, 640) / columns, Math.min(600, Math.max(200, tall)) / rows) * ratio;
    const zoom = scene.scale / scene.fit;
    scene.fit = most >= 1 ? Math.floor(most + 1e-6) : most;
    scene.scale = whole(zoom * scene.fit);
    canvas.width = Math.round(columns * scene.fit);
    canvas.height = Math.round(rows * scene.fit);
    stage.style.width = canvas.style.width = `${canvas.width / ratio}px`;
    stage.style.height = canvas.style.height = `${canvas.height / ratio}px`;
    stage.parentNode.style.setProperty("--medsr-width", `max(${stage.style.width}, 15em)`); // as wide as its slider
    const box = stage.getBoundingClientRect(); // the page may have put it between two screen pixels
    const off = [box.left + window.scrollX, box.top + window.scrollY].map((v) => Math.round(v * ratio) / ratio - v);
    canvas.style.transform = `translate(${off[0].toFixed(3)}px, ${off[1].toFixed(3)}px)`;
  };
  function whole(scale) {
    return Math.max(scene.fit, Math.min(MOST_ZOOM * scene.fit, scene.fit >= 1 ? Math.round(scale) : scale));
  }
  scene.keep = function () { // the view within the field
    scene.x = Math.max(0, Math.min(scene.x, columns - canvas.width / scene.scale));
    scene.y = Math.max(0, Math.min(scene.y, rows - canvas.height / scene.scale));
  };
  // Zooms by a factor about a point, in fractions of the stage; by a whole screen pixel per sample at least.
  scene.zoomBy = function (factor, fx = 0.5, fy = 0.5) {
    let next = whole(scene.scale * factor);
    if (next === scene.scale && scene.fit >= 1) next = whole(scene.scale + Math.sign(factor - 1));
    const at = [scene.x + (fx * canvas.width) / scene.scale, scene.y + (fy * canvas.height) / scene.scale];
    scene.scale = next;
    scene.x = at[0] - (fx * canvas.width) / next;
    scene.y = at[1] - (fy * canvas.height) / next;
    scene.keep();
  };
  scene.zoomed = () => scene.scale > scene.fit * 1.001;
  scene.zoom = () => `${Math.round((10 * scene.scale) / scene.fit) / 10}×`;
  scene.span = () => [canvas.width / scene.scale, canvas.height / scene.scale]; // samples across the stage
  // Sample under a point of the stage, in fractions of it.
  scene.at = function (fx, fy) {
    const column = Math.floor(scene.x + (fx * canvas.width) / scene.scale);
    const row = rows - 1 - Math.floor(scene.y + (fy * canvas.height) / scene.scale);
    return { row: Math.max(0, Math.min(rows - 1, row)), column: Math.max(0, Math.min(columns - 1, column)) };
  };
  scene.setWindow = function (level, width) {
    if (level === scene.level && width === scene.width) return;
    scene.level = level;
    scene.width = width;
    kept = new Map();
  };
  scene.value = function (grey) { return low + (grey / 255) * (high - low); };
  scene.words = function (value) { // as many digits as 8 bits hold
    return value.toFixed(Math.max(0, Math.min(6, Math.ceil(-Math.log10((high - low) / 255))))).replace("-", "−");
  };
  scene.read = function (picture) {
    const grey = scene.cursor && sample(picture, scene.cursor.row, scene.cursor.column);
    return grey === null ? null : scene.value(grey);
  };

  function place(picture, left, right, paint) {
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, canvas.height);
    context.clip();
    const wide = columns * scene.scale, tall = rows * scene.scale;
    const x = (picture.left / 100) * wide - scene.x * scene.scale;
    const y = -(picture.bottom / 100) * tall - scene.y * scene.scale;
    context.drawImage(paint, Math.round(x), Math.round(y), Math.round(wide), Math.round(tall));
    context.restore();
  }
  function placeSpectrum(picture, left, right) {
    const { h, w } = picture.grey, s = scene.scale; // a coarse image fills the middle of k-space only
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, canvas.height);
    context.clip();
    const x = ((columns >> 1) - (w >> 1) - scene.x) * s, y = ((rows >> 1) - (h >> 1) - scene.y) * s;
    context.drawImage(spectrum(picture), Math.round(x), Math.round(y), Math.round(w * s), Math.round(h * s));
    context.restore();
  }
  // Draws pictures side by side: [[picture, from, to], …] in fractions of the stage.
  scene.draw = function (parts) {
    scene.seen = parts.map((part) => part[0]);
    scene.keep();
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = scene.smooth || scene.fit < 1;
    context.imageSmoothingQuality = "high";
    for (const [picture, from, to] of parts) {
      const [left, right] = [from, to].map((v) => Math.round(v * canvas.width));
      if (scene.view === "k-space") placeSpectrum(picture, left, right);
      else place(picture, left, right, bright(picture));
    }
    finish();
  };
  scene.drawDifference = function (a, b) {
    scene.seen = [a, b];
    scene.keep();
    context.imageSmoothingEnabled = scene.smooth || scene.fit < 1;
    place({ left: 0, bottom: 0 }, 0, canvas.width, difference(a, b));
    finish();
  };
  function finish() {
    stage.dataset.drawn = "true";
    stage.classList.toggle("medsr-zoomed", scene.zoomed());
    drawScale(scene.view === "k-space" ? 0 : scene.scale / scene.fit);
    if (!scene.cursor || scene.view === "k-space" || !scene.marked) return;
    const x = (scene.cursor.column + 0.5 - scene.x) * scene.scale;
    const y = (rows - 0.5 - scene.cursor.row - scene.y) * scene.scale;
    for (const [colour, wide] of [["#000", 3], ["#ffd60a", 1]]) { // the row of the profile, and where it is read
      context.strokeStyle = colour;
      context.lineWidth = wide * Math.max(1, Math.round(scene.ratio));
      context.beginPath();
      context.moveTo(0, y);
      context.lineTo(canvas.width, y);
      context.moveTo(x, y - 8 * scene.ratio);
      context.lineTo(x, y + 8 * scene.ratio);
      context.stroke();
    }
  }

  // The values along the cursor's row, under the stage and as wide: one curve for each picture.
  scene.profile = function (plot, colours) {
    const ratio = scene.ratio, tall = 110, wide = canvas.width;
    plot.width = wide;
    plot.height = Math.round(tall * ratio);
    plot.style.width = `${wide / ratio}px`;
    plot.style.height = `${tall}px`;
    const pen = plot.getContext("2d"), style = getComputedStyle(plot), row = scene.cursor.row;
    const from = Math.floor(scene.x), to = Math.min(columns, Math.ceil(scene.x + wide / scene.scale));
    const curves = scene.seen.map((picture) => {
      const out = [];
      for (let c = from; c < to; c++) out.push(sample(picture, row, c));
      return out;
    });
    const all = curves.flat().filter((v) => v !== null);
    const [least, most] = [Math.min(...all, 254), Math.max(...all, 1)];
    const height = (v) => ratio * (tall - 8 - ((tall - 26) * (v - least)) / Math.max(1, most - least));
    curves.forEach((curve, k) => {
      pen.strokeStyle = colours[k];
      pen.lineWidth = 1.5 * ratio;
      pen.setLineDash(k ? [5 * ratio, 3 * ratio] : []);
      pen.beginPath();
      curve.forEach((v, c) => {
        if (v !== null) pen.lineTo((from + c + 0.5 - scene.x) * scene.scale, height(v));
      });
      pen.stroke();
    });
    pen.fillStyle = style.color;
    pen.font = `${11 * ratio}px sans-serif`;
    pen.fillText(`row ${row}: ${scene.words(scene.value(least))} to ${scene.words(scene.value(most))}`, 4 * ratio,
      11 * ratio);
    let x = wide - 4 * ratio;
    pen.textAlign = "right";
    [...scene.seen].reverse().forEach((picture, k) => {
      pen.fillStyle = colours[scene.seen.length - 1 - k];
      pen.fillText((scene.seen.length - 1 - k ? "– – " : "— ") + picture.title, x, 11 * ratio);
      x -= pen.measureText("— " + picture.title).width + 16 * ratio;
    });
  };
  return scene;
}
