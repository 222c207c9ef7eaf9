// Sends files, and shows how far the work is: the answer is a stream of lines, each a piece of JSON.
"use strict";

(() => {
  const find = (id) => document.getElementById(id);
  const settings = JSON.parse(find("settings").textContent);
  const form = find("convert"), busy = find("busy"), failed = find("failed"), share = find("share"), said = find("said");
  let sending = null;

  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

  function fail(message) {
    failed.textContent = message;
    failed.hidden = !message;
  }

  function setBusy(isBusy) {
    form.dataset.busy = isBusy;
    busy.hidden = !isBusy;
    for (const control of form.elements) control.disabled = isBusy;
  }

  function tell(words, part) {
    if (said.textContent !== words) said.textContent = words;
    if (part === undefined) share.removeAttribute("value");
    else share.value = part;
  }

  async function send(url, files, fields, words) {
    if (sending || !files.length) return;
    const size = [...files].reduce((sum, file) => sum + file.size, 0);
    if (size > settings.maxBytes) {
      fail(`That is ${megabytes(size)}, and this page takes up to ${megabytes(settings.maxBytes)} at once.`);
      return;
    }
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    for (const file of files) body.append("file", file, file.name);
    sending = new AbortController();
    fail("");
    setBusy(true);
    tell("Sending …");
    try {
      const answer = await fetch(url, {
        method: "POST", body, headers: { "X-Ldr2hdr-Token": settings.token }, signal: sending.signal });
      if (!answer.ok) throw new Error(await answer.text());
      await follow(answer, words);
    } catch (error) {
      if (error.name === "AbortError") fail("Stopped.");
      else if (error instanceof TypeError) fail("ldr2hdr does not answer. Is it still running in its terminal?");
      else fail(error.message);
    } finally {
      sending = null;
      setBusy(false);
    }
  }

  async function follow(answer, words) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new TypeError("the stream ended early");
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line) continue;
        const event = JSON.parse(line);
        if (event.state === "failed") throw new Error(event.message);
        if (event.state === "waiting") tell("Waiting for another photograph to be done …");
        if (event.state === "working") tell(words, event.share);
        if (event.state === "done") { location.assign(event.location); return; }
      }
    }
  }

  function connect(input, start) {
    const zone = find(`${input.id}-drop`);
    input.addEventListener("change", () => { start([...input.files]); input.value = ""; });
    for (const name of ["dragenter", "dragover"]) {
      zone.addEventListener(name, (event) => { event.preventDefault(); zone.dataset.over = true; });
    }
    zone.addEventListener("dragleave", () => { zone.dataset.over = false; });
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      zone.dataset.over = false;
      start([...event.dataTransfer.files]);
    });
  }

  connect(find("photo"), (files) => {
    if (files.length > 1) fail("One photograph at a time, please; a bracket goes to the field for brackets.");
    else send("/photo", files, { camera: find("camera").value, highlights: find("highlights")?.value ?? "" }, "Reconstructing …");
  });
  function connectBracket(input, url, words, fields) {
    connect(input, (files) => {
      if (files.length < 2) fail("A bracket needs at least two photographs.");
      else send(url, files.sort((one, other) => (one.name < other.name ? -1 : 1)), fields(), words);
    });
  }

  const choice = (id) => (find(id).checked ? "yes" : "no");
  connectBracket(find("bracket"), "/bracket", "Learning the camera …", () => ({ evs: find("evs").value }));
  connectBracket(find("merge"), "/merge", "Merging …", () => ({
    camera: find("camera").value, evs: find("merge-evs").value, reference: find("reference").value,
    align: choice("align"), deghost: choice("deghost") }));
  for (const button of document.querySelectorAll("[data-ev]")) {
    button.addEventListener("click", () => {
      find("ev").value = button.dataset.ev;
      find("ev").dispatchEvent(new Event("input"));
    });
  }
  find("stop").addEventListener("click", () => sending?.abort());
  form.addEventListener("submit", (event) => event.preventDefault());
  // a file that misses the field must not replace the page
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
})();
