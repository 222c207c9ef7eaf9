// The viewer of a report: light from packed codes, at any exposure, two systems side by side. Needs nothing else.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const find = (selector, root = document) => root.querySelector(selector);
  const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- which table is shown ------------------------------------------------------------------------------------

  function showTable(key) {
    for (const panel of findAll("[data-panel]")) panel.hidden = panel.dataset.panel !== key;
    for (const radio of findAll("[data-choose] input")) radio.checked = radio.value === key;
  }

  const choices = findAll("[data-choose] input");
  for (const radio of choices) radio.addEventListener("change", () => showTable(radio.value));
  if (choices.length) showTable(choices[0].value);

  const viewer = document.getElementById("viewer");
  if (!viewer || !data.scenes.length) return;
  if (!("DecompressionStream" in window)) {
    find("#viewer-note").textContent = "This browser is too old for the viewer: it needs DecompressionStream.";
    return;
  }
  viewer.hidden = false;

  // ---- unpacking: inflate, undo the neighbours, add what was predicted from -------------------------------------

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function unfold(bytes, start, count) {
    const residual = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const folded = bytes[start + i] | (bytes[start + count + i] << 8);
      residual[i] = (folded >>> 1) ^ -(folded & 1);
    }
    return residual;
  }

  // the median edge detector of LOCO-I; outside is 0
  function undoNeighbours(codes, width, height) {
    for (let i = 0; i < codes.length; i++) {
      const x = i % width, y = Math.floor(i / width) % height;
      const left = x ? codes[i - 1] : 0, up = y ? codes[i - width] : 0;
      const corner = x && y ? codes[i - width - 1] : 0;
      const low = Math.min(left, up), high = Math.max(left, up);
      codes[i] += Math.max(low, Math.min(high, left + up - corner));
    }
  }

  const unpacked = new Map(); // of the scene that is shown

  function codesOf(scene, index) {
    const key = `${scene}-${index}`;
    if (!unpacked.has(key)) unpacked.set(key, unpack(scene, index));
    return unpacked.get(key);
  }

  async function unpack(scene, index) {
    const { width, height, pictures } = data.scenes[scene];
    const { base, smoothed } = pictures[index];
    const bytes = await inflate(bytesOf(document.getElementById(`picture-${scene}-${index}`).textContent));
    const count = 3 * width * height, head = base === "table" ? 3 * 256 * 2 : 0;
    const codes = unfold(bytes, head, count);
    if (smoothed) undoNeighbours(codes, width, height);
    if (base === "table") {
      const levels = await codesOf(scene, 0);
      const table = new Uint16Array(bytes.slice(0, head).buffer);
      for (let i = 0; i < count; i++) codes[i] += table[256 * Math.floor((3 * i) / count) + levels[i]];
    } else if (base !== null) {
      const earlier = await codesOf(scene, base);
      for (let i = 0; i < count; i++) codes[i] += earlier[i];
    }
    return codes;
  }

  // ---- from codes to light, and from light to the screen ---------------------------------------------------------

  const NUM_CODES = data.stepsPerStop * 26 + 1;
  const decodeSrgb = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const encodeSrgb = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
  // picture 0 is the photograph: its levels are taken as sRGB, so that at 0 EV it looks as it is
  const photoLight = Float64Array.from({ length: 256 }, (_, level) => decodeSrgb(level / 255));
  const codeLight = Float64Array.from(
    { length: NUM_CODES }, (_, code) => data.floor * (2 ** (code / data.stepsPerStop) - 1));
  const lightTable = (index) => (index === 0 ? photoLight : codeLight);
  const stopsOf = (light) => light.map((value) => Math.log2(Math.max(value, data.floor)));
  const photoStops = stopsOf(photoLight), codeStops = stopsOf(codeLight);
  const stopsTable = (index) => (index === 0 ? photoStops : codeStops);
  const colours = Object.fromEntries(Object.entries(data.colours).map(([name, text]) => [name, bytesOf(text)]));

  function paintLight(pixels, codes, index, ev) {
    const gain = 2 ** ev, count = codes.length / 3;
    const shown = Uint8ClampedArray.from(
      lightTable(index), (light) => 255 * encodeSrgb(Math.min(1, light * gain)));
    for (let i = 0; i < count; i++) {
      pixels[4 * i] = shown[codes[i]];
      pixels[4 * i + 1] = shown[codes[i + count]];
      pixels[4 * i + 2] = shown[codes[i + 2 * count]];
      pixels[4 * i + 3] = 255;
    }
  }

  // root mean square over the channels, as in the tables; signed: the mean, so that too bright is positive
  function errorAt(stops, codes, truth, i, count, isSigned) {
    let sum = 0;
    for (let j = i; j < 3 * count; j += count) {
      const difference = stops[codes[j]] - codeStops[truth[j]];
      sum += isSigned ? difference : difference * difference;
    }
    return isSigned ? sum / 3 : Math.sqrt(sum / 3);
  }

  function paintError(pixels, codes, truth, index, isSigned) {
    const stops = stopsTable(index), count = codes.length / 3, most = data.errorStops;
    const table = isSigned ? colours.signed : colours.error;
    for (let i = 0; i < count; i++) {
      const error = errorAt(stops, codes, truth, i, count, isSigned);
      const share = isSigned ? (error / most + 1) / 2 : error / most;
      const entry = 3 * Math.round(255 * Math.max(0, Math.min(1, share)));
      pixels[4 * i] = table[entry];
      pixels[4 * i + 1] = table[entry + 1];
      pixels[4 * i + 2] = table[entry + 2];
      pixels[4 * i + 3] = 255;
    }
  }

  // ---- state and drawing -----------------------------------------------------------------------------------------

  const stage = find("#stage"), canvas = find("canvas", stage), context = canvas.getContext("2d", { alpha: false });
  const handle = find("#wipe"), readout = find("#readout");
  const controls = Object.fromEntries(["left", "right", "ev", "swap"].map((id) => [id, document.getElementById(id)]));
  const sides = { left: { canvas: document.createElement("canvas"), shows: "" },
                  right: { canvas: document.createElement("canvas"), shows: "" } };
  const state = { scene: 0, left: 0, right: 1, mode: "light", ev: 0, wipe: 0.5, zoom: null, x: 0, y: 0 };
  const WHOLE_FROM = 4, ZOOMS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]; // device pixels to a pixel
  let pointed = null, isWaiting = false, place = { zoom: 1, left: 0, top: 0 };

  function redraw() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(async () => {
      isWaiting = false;
      await Promise.all([paint("left"), paint("right")]);
      draw();
    });
  }

  async function paint(side) {
    const { scene, mode } = state, index = state[side], ev = mode === "light" ? state.ev : 0;
    const shows = `${scene} ${index} ${mode} ${ev}`, target = sides[side];
    if (target.shows === shows) return;
    const [codes, truth] = await Promise.all([codesOf(scene, index), codesOf(scene, 1)]);
    if (scene !== state.scene || index !== state[side]) return; // something else was chosen meanwhile
    const { width, height } = data.scenes[scene], image = new ImageData(width, height);
    if (mode === "light") paintLight(image.data, codes, index, ev);
    else paintError(image.data, codes, truth, index, mode === "signed");
    Object.assign(target.canvas, { width, height });
    target.canvas.getContext("2d").putImageData(image, 0, 0);
    target.shows = shows;
  }

  // All of the stage; where little of it is lost by that, with whole device pixels for every pixel of the picture
  function fitZoom(width, height) {
    const ratio = window.devicePixelRatio || 1;
    const most = Math.min((stage.clientWidth * ratio) / width, (0.74 * window.innerHeight * ratio) / height);
    return most >= WHOLE_FROM ? Math.floor(most) : most;
  }

  function draw() {
    const { width, height } = data.scenes[state.scene], ratio = window.devicePixelRatio || 1;
    const fit = fitZoom(width, height), zoom = state.zoom === null ? fit : state.zoom;
    canvas.width = Math.floor(stage.clientWidth * ratio);
    canvas.height = Math.round(height * fit);
    canvas.style.height = `${canvas.height / ratio}px`;
    const clampTo = (centre, size, room) =>
      size * zoom <= room ? size / 2 : Math.max(room / 2 / zoom, Math.min(size - room / 2 / zoom, centre));
    state.x = clampTo(state.x, width, canvas.width);
    state.y = clampTo(state.y, height, canvas.height);
    place = { zoom, left: Math.round(canvas.width / 2 - state.x * zoom),
              top: Math.round(canvas.height / 2 - state.y * zoom) };
    const low = Math.max(0, place.left), high = Math.min(canvas.width, place.left + width * zoom);
    const edge = Math.round(low + state.wipe * (high - low));
    context.fillStyle = "#16181a";
    context.fillRect(0, 0, canvas.width, canvas.height);
    drawSide(sides.left.canvas, 0, edge);
    drawSide(sides.right.canvas, edge, canvas.width);
    tell(edge / ratio, { fit, zoom });
  }

  function drawSide(picture, from, to) {
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, canvas.height);
    context.clip();
    context.imageSmoothingEnabled = place.zoom % 1 !== 0;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, place.left, place.top, picture.width * place.zoom, picture.height * place.zoom);
    context.restore();
  }

  // ---- what the page says of the state ---------------------------------------------------------------------------

  const rounded = (value) => String(Math.round(100 * value) / 100).replace("-", "\u2212");
  const withSign = (value, digits) => `${value < 0 ? "\u2212" : "+"}${Math.abs(value).toFixed(digits)}`;

  function tell(edge, { fit, zoom }) {
    const { pictures } = data.scenes[state.scene];
    handle.style.left = `${edge}px`;
    handle.setAttribute("aria-valuenow", Math.round(100 * state.wipe));
    handle.setAttribute("aria-valuetext", `${Math.round(100 * state.wipe)} % ${pictures[state.left].name}`);
    for (const side of ["left", "right"]) find(`#name-${side}`).textContent = pictures[state[side]].name;
    for (const side of ["left", "right"]) find(`#score-${side}`).textContent = describe(pictures[state[side]]);
    find("#ev-value").textContent = `${state.ev > 0 ? "+" : ""}${rounded(state.ev)} EV`;
    find("#zoom-value").textContent = `${zoom >= 10 ? zoom : zoom.toFixed(zoom % 1 ? 1 : 0)}×`;
    stage.dataset.panning = zoom > fit;
    controls.ev.disabled = state.mode !== "light";
    find("#scale").dataset.mode = state.mode;
    Object.assign(canvas.dataset, { zoom: place.zoom, left: place.left, top: place.top, shows:
      `${sides.left.shows} | ${sides.right.shows}` });
    inspect();
  }

  function describe({ scores }) {
    const parts = [];
    if ("pu_psnr" in scores) parts.push(`${scores.pu_psnr.toFixed(1)} dB`);
    if ("log2_rmse" in scores) parts.push(`${scores.log2_rmse.toFixed(2)} stops`);
    return parts.join(" · ");
  }

  async function inspect() {
    const { scene } = state, { width, height } = data.scenes[scene];
    if (!pointed || pointed.x < 0 || pointed.y < 0 || pointed.x >= width || pointed.y >= height) {
      readout.textContent = "Point at a pixel to read its light, in units of sensor white.";
      return;
    }
    const at = pointed, count = width * height, i = at.y * width + at.x, truth = await codesOf(scene, 1);
    const rows = [];
    for (const [name, index] of [["left", state.left], ["right", state.right], ["truth", 1]]) {
      const codes = await codesOf(scene, index), light = lightTable(index);
      const rgb = [0, 1, 2].map((c) => light[codes[i + c * count]].toPrecision(3)).join("  ");
      const error = errorAt(stopsTable(index), codes, truth, i, count, true);
      rows.push([name, rgb, index === 1 ? "" : `${withSign(error, 2)} stops`]);
    }
    if (at !== pointed) return;
    readout.replaceChildren(element("b", `x ${at.x}, y ${at.y}`), ...rows.flatMap((row) =>
      row.map((text) => element("span", text))));
  }

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  // ---- controls --------------------------------------------------------------------------------------------------

  function chooseScene(scene) {
    const about = data.scenes[scene], before = data.scenes[state.scene];
    const keep = (index, otherwise) => {
      const found = about.pictures.findIndex(({ name }) => name === before.pictures[index]?.name);
      return scene !== state.scene && found >= 0 ? found : otherwise;
    };
    const left = keep(state.left, 0), right = keep(state.right, about.right);
    Object.assign(state, { scene, left, right, zoom: null });
    unpacked.clear();
    pointed = null;
    controls.ev.min = about.darkest;
    controls.ev.max = data.maxEv;
    state.ev = Math.max(about.darkest, state.ev);
    controls.ev.value = state.ev;
    find("#ev-min").textContent = rounded(about.darkest);
    for (const side of ["left", "right"]) {
      controls[side].replaceChildren(...about.pictures.map(({ name }, index) => new Option(name, index)));
      controls[side].value = state[side];
    }
    find("#scene-title").textContent = about.place;
    find("#scene-about").textContent = `${about.table} · camera ${about.camera} · ${about.run} · seed ${about.seed}`;
    for (const button of findAll("[data-scene]")) {
      button.setAttribute("aria-pressed", Number(button.dataset.scene) === scene);
    }
    redraw();
  }

  function setEv(ev) {
    state.ev = Math.max(Number(controls.ev.min), Math.min(data.maxEv, ev));
    controls.ev.value = state.ev;
    redraw();
  }

  function setWipe(share) {
    state.wipe = Math.max(0, Math.min(1, share));
    redraw();
  }

  function zoomBy(direction) {
    const { width, height } = data.scenes[state.scene], fit = fitZoom(width, height);
    const now = state.zoom === null ? fit : state.zoom;
    const next = direction > 0 ? ZOOMS.find((zoom) => zoom > now) ?? ZOOMS.at(-1) : ZOOMS.findLast((zoom) => zoom < now);
    state.zoom = direction === 0 || !(next > fit) ? null : next;
    redraw();
  }

  function pan(x, y) {
    state.x += x / place.zoom;
    state.y += y / place.zoom;
    redraw();
  }

  for (const button of findAll("[data-scene]")) {
    button.addEventListener("click", () => chooseScene(Number(button.dataset.scene)));
  }
  for (const side of ["left", "right"]) {
    controls[side].addEventListener("change", () => { state[side] = Number(controls[side].value); redraw(); });
  }
  controls.swap.addEventListener("click", () => {
    [state.left, state.right] = [state.right, state.left];
    for (const side of ["left", "right"]) controls[side].value = state[side];
    redraw();
  });
  controls.ev.addEventListener("input", () => setEv(Number(controls.ev.value)));
  find("#ev-reset").addEventListener("click", () => setEv(0));
  for (const radio of findAll("input[name=mode]")) {
    radio.addEventListener("change", () => { state.mode = radio.value; redraw(); });
  }
  for (const button of findAll("[data-zoom-by]")) {
    button.addEventListener("click", () => zoomBy(Number(button.dataset.zoomBy)));
  }
  window.addEventListener("resize", redraw);

  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, Home: -1, End: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    setWipe(state.wipe + by);
  });

  const commands = {
    ArrowLeft: () => pan(-40, 0), ArrowRight: () => pan(40, 0), ArrowUp: () => pan(0, -40), ArrowDown: () => pan(0, 40),
    "+": () => zoomBy(1), "=": () => zoomBy(1), "-": () => zoomBy(-1), 0: () => zoomBy(0),
    "[": () => setEv(state.ev - 0.5), "]": () => setEv(state.ev + 0.5), x: () => controls.swap.click(),
  };
  stage.addEventListener("keydown", (event) => {
    if (!(event.key in commands) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    commands[event.key]();
  });

  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== stage) return; // the page scrolls
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1 : -1);
  }, { passive: false });

  // ---- pointing: the picture is dragged if it is larger than the stage, else the wipe follows -----------------

  let drag = null;

  function pointAt(event) {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    const x = (event.clientX - box.left) * ratio, y = (event.clientY - box.top) * ratio;
    pointed = { x: Math.floor((x - place.left) / place.zoom), y: Math.floor((y - place.top) / place.zoom) };
    return { x, y, ratio };
  }

  function wipeTo(x) {
    const { width } = data.scenes[state.scene];
    const low = Math.max(0, place.left), high = Math.min(canvas.width, place.left + width * place.zoom);
    setWipe((x - low) / (high - low));
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const isPanning = stage.dataset.panning === "true" && !handle.contains(event.target);
    drag = { isPanning, ...pointAt(event) };
    stage.setPointerCapture(event.pointerId);
    if (!isPanning) wipeTo(drag.x);
  });
  stage.addEventListener("pointermove", (event) => {
    const now = pointAt(event);
    if (!drag) inspect();
    else if (drag.isPanning) pan(drag.x - now.x, drag.y - now.y);
    else wipeTo(now.x);
    if (drag) Object.assign(drag, now);
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { drag = null; });
  stage.addEventListener("pointerleave", () => { pointed = null; inspect(); });

  chooseScene(0);
})();
