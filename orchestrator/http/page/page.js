"use strict";
// Shows the state of one data directory as it changes. Nothing is put into the page but as text.

const state = { bench: {}, job: {}, run: {}, live: {}, interlock: {}, watchdog: {}, disk: {}, alert: {}, told: {} };
const pictures = {};
const trails = {};  // newest numbers of each run, until they are among its records
let token = sessionStorage.getItem("token") || "";
let role = "";
let lastId = "";
let stream = null;
let wait = 1000;

const at = (id) => document.getElementById(id);

function make(tag, text, ...kinds) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = String(text);
  made.classList.add(...kinds.filter(Boolean));
  return made;
}

async function get(path) {
  const answer = await fetch(path, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw Object.assign(new Error(await why(answer)), { status: answer.status });
  return answer;
}

async function why(answer) {
  try {
    const said = await answer.json();
    return `${said.who}: ${said.what} (${said.remedy})`;
  } catch {
    return `${answer.status}`;
  }
}

async function post(path, body) {
  at("said").textContent = "";
  const answer = await fetch(path, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      "Idempotency-Key": Array.from(crypto.getRandomValues(new Uint8Array(16)),
        (one) => one.toString(16).padStart(2, "0")).join(""),
      "X-Operando-Time": String(Date.now() / 1000),
    },
    body: JSON.stringify(body || {}),
  });
  say(answer.ok ? ((await answer.json()).text || "done") : await why(answer), answer.ok);
}

function say(text, good) {
  at("said").textContent = text;
  at("said").className = good ? "" : "bad";
}

function act(label, path, body, question) {
  const button = make("button", label);
  button.type = "button";
  button.addEventListener("click", () => {
    if (question && !confirm(question)) return;
    post(path, body).catch((error) => say(error.message, false));
  });
  return button;
}

const operates = () => role === "operate";
const short = (uid) => String(uid).slice(0, 8);
const fixed = (value, digits, unit) =>
  typeof value === "number" ? `${value.toFixed(digits)} ${unit}` : "";

function rows(table, heads, lines) {
  const head = make("tr");
  heads.forEach((one) => head.append(make("th", one)));
  table.replaceChildren(head, ...lines.map((cells) => {
    const row = make("tr");
    cells.forEach((cell) => {
      const data = make("td");
      data.append(...(Array.isArray(cell) ? cell : [cell]));
      row.append(data);
    });
    return row;
  }));
}

function drawAlerts() {
  const found = Object.values(state.alert);
  const told = Object.values(state.told).sort((a, b) => b.time - a.time).slice(0, 5);
  at("alerts").replaceChildren(
    ...(found.length ? found.map((one) => make("li", one.text, one.level)) : [make("li", "nothing", "quiet")]),
    ...told.map((one) => make("li", `${utc(one.time)} told (${arrived(one)}): ${one.text}`, "quiet")));
}

function arrived(one) {
  const ways = one.deliveries.map((way) => `${way.channel} ${way.state}`);
  return ways.join(", ") || "nobody yet";
}

function drawBenches() {
  rows(at("benches"), ["bench", "state", "watchdog", ""], Object.values(state.bench).map((one) => {
    const dog = state.watchdog[one.bench];
    const off = operates()
      ? [act("off", `/api/benches/${one.bench}/off`, {}, `Switch ${one.bench} off now?`)] : [];
    return [one.bench, make("span", one.state, one.state), dog ? dog.what : "", off];
  }));
}

function drawJobs() {
  const jobs = Object.values(state.job).filter((one) => !["done", "removed", "skipped"].includes(one.state));
  rows(at("jobs"), ["job", "state", "bench", "experiment", "start", "why", ""], jobs.map((one) => {
    const path = `/api/jobs/${one.id}`;
    const can = [];
    if (operates() && one.state === "waiting") {
      can.push(one.held ? act("release", `${path}/release`) : act("hold", `${path}/hold`));
      can.push(act("remove", `${path}/remove`, {}, "Remove this job?"));
    }
    if (operates() && ["interrupted", "missed", "changed"].includes(one.state)) {
      ["again", "resume", "done", "failed"].forEach((decision) =>
        can.push(act(decision, `${path}/ack`, { decision }, `Count it as: ${decision}?`)));
    }
    const name = one.request.experiment.split("/").pop();
    return [short(one.id), make("span", one.held ? "held" : one.state, one.state), one.request.bench, name,
      one.request.start || "as soon as it can", one.message || one.waits_for || "", can];
  }));
}

function drawRuns() {
  const found = Object.values(state.run).sort((a, b) => (a.began < b.began ? 1 : -1)).slice(0, 12);
  rows(at("runs"), ["run", "began", "ended", "sample", "plan", ""], found.map((one) => [
    short(one.uid), one.began, `${one.state} ${one.reason}`, one.sample, one.plan_name,
    make("span", one.simulated ? "SIMULATED" : "", "simulated"),
  ]));
}

function drawLive() {
  Object.values(state.live).forEach(remember);
  const found = Object.values(state.live);
  Object.keys(pictures).forEach((uid) => { if (!(uid in state.live)) { delete pictures[uid]; delete trails[uid]; } });
  at("live").replaceChildren(...(found.length ? found.map(card) : [make("p", "nothing", "quiet")]));
}

function remember(one) {
  const trail = trails[one.run] = trails[one.run] || [];
  const last = trail[trail.length - 1];
  if (typeof one.time_s !== "number" || (last && last.time >= one.time_s)) return;
  trail.push({ time: one.time_s, voltage_v: one.voltage_v, current_ma: one.current_ma });
  if (trail.length > 3600) trail.shift();
}

function card(one) {
  const made = make("div", null, "card");
  const head = make("h3", `${short(one.run)} ${one.plan_name} on ${one.sample} `);
  head.append(make("span", one.simulated ? "SIMULATED" : "", "simulated"));
  const where = `${one.state}${one.reason ? `: ${one.reason}` : ""}, ${one.bench}, `
    + `${fixed(one.elapsed_s, 0, "s")}, cycle ${one.cycle}, step ${one.step_index + 1}`;
  const numbers = [fixed(one.voltage_v, 4, "V"), fixed(one.current_ma, 4, "mA"),
    fixed(one.charge_mah, 4, "mAh net"), fixed(one.temperature_celsius, 1, "\u00b0C"),
    fixed(one.pressure_mpa, 3, "MPa"),
    ...Object.entries(one.frames || {}).map(([name, n]) => `${n} ${name}`)].filter(Boolean);
  made.append(head, make("p", where, one.state), make("p", numbers.join("   "), "numbers"));
  made.append(pictures[one.run] = pictures[one.run] || make("div", null, "row"));
  if (operates()) made.append(verbs(one));
  return made;
}

function verbs(one) {
  const path = `/api/runs/${one.run}`;
  const made = make("p", null, "row");
  made.append(
    one.state === "paused" ? act("resume", `${path}/resume-now`) : act("pause", `${path}/pause`),
    act("image now", `${path}/image-now`), act("skip step", `${path}/skip-step`, {}, "End this step?"),
    act("stop after this step", `${path}/stop`, { after: "step" }, "Stop after this step?"),
    act("stop now", `${path}/stop`, { after: "now" }, "End the run now?"));
  return made;
}

function happened(time, text) {
  const list = at("events");
  list.prepend(make("li", `${time} ${text}`));
  while (list.children.length > 200) list.lastChild.remove();
}

const utc = (s) => new Date(s * 1000).toISOString().slice(0, 19).replace("T", " ");

async function drawPictures(uid) {
  const place = pictures[uid];
  if (!place) return;
  if (place.dataset.busy) {
    place.dataset.busy = "again";
    return;
  }
  place.dataset.busy = "1";
  try {
    const echem = await (await get(`/api/runs/${uid}/streams/echem?points=800`)).json();
    const recorded = echem.time.length ? echem.time[echem.time.length - 1] : -Infinity;
    const since = (trails[uid] || []).filter((one) => one.time > recorded);
    const drawn = ["voltage_v", "current_ma"].map((end) => {
      const key = Object.keys(echem.columns).find((name) => name.endsWith(end));
      return key && plot(key, [...echem.time, ...since.map((one) => one.time)],
        [...echem.columns[key], ...since.map((one) => one[end])], echem.units[key]);
    }).filter(Boolean);
    const frames = Object.keys((state.live[uid] || {}).frames || {});
    const images = await Promise.all(frames.map((name) => frame(uid, name)));
    place.replaceChildren(...drawn, ...images.filter(Boolean));
  } catch (error) {
    if (error.status === 401) leave(error.message);
  } finally {
    setTimeout(() => {
      const again = place.dataset.busy === "again";
      delete place.dataset.busy;
      if (again && pictures[uid] === place) drawPictures(uid);
    }, 3000);
  }
}

async function frame(uid, name) {
  try {
    const picture = make("img");
    picture.src = URL.createObjectURL(await (await get(`/api/runs/${uid}/frames/${name}/latest.png`)).blob());
    picture.onload = () => URL.revokeObjectURL(picture.src);
    picture.alt = `latest frame of ${name}`;
    return picture;
  } catch {
    return null;
  }
}

function plot(name, times, values, unit) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  const good = times.map((t, k) => [t, values[k]]).filter((one) => one[1] !== null);
  const [w, h] = [600, 170];
  made.setAttribute("viewBox", `0 0 ${w} ${h}`);
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", `${name} against time`);
  if (good.length < 2) {
    made.append(label(space, `${name}: no records yet`, 20));
  } else {
    const ys = good.map((one) => one[1]);
    const [low, high] = [Math.min(...ys), Math.max(...ys)];
    const [begin, end] = [good[0][0], good[good.length - 1][0]];
    const x = (t) => ((t - begin) / (end - begin || 1)) * w;
    const y = (v) => h - 24 - ((v - low) / (high - low || 1)) * (h - 48);
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", good.map((one, k) => `${k ? "L" : "M"}${x(one[0]).toFixed(1)} ${y(one[1]).toFixed(1)}`).join(""));
    made.append(path);
    [[`${name}  ${high.toPrecision(5)} ${unit}`, 14], [`${low.toPrecision(5)} ${unit}`, h - 6]].forEach(([text, top]) => {
      made.append(label(space, text, top));
    });
  }
  return made;
}

function label(space, text, top) {
  const made = document.createElementNS(space, "text");
  made.setAttribute("x", "4");
  made.setAttribute("y", String(top));
  made.textContent = text;
  return made;
}

const draws = {
  bench: drawBenches, watchdog: drawBenches, interlock: () => {}, told: drawAlerts, job: drawJobs, run: drawRuns, alert: drawAlerts,
  live: drawLive,
  disk: () => {
    const disk = state.disk.data;
    if (disk) at("disk").textContent = `disk: ${(disk.free_bytes / 1e9).toFixed(1)} GB free`;
  },
};

function take(kind, data) {
  if (kind === "state") {
    Object.keys(state).forEach((one) => { state[one] = data[one] || {}; });
    Object.values(draws).forEach((draw) => draw());
    Object.keys(state.live).forEach(drawPictures);
  } else if (kind === "gone") {
    delete state[data.kind][data.name];
    draws[data.kind]();
  } else if (kind === "event") {
    happened(utc(data.time), `${short(data.run)} ${data.kind}: ${data.text || ""}`);
  } else if (kind === "audit") {
    happened(data.time.slice(0, 19).replace("T", " "), `${data.who}: ${data.kind} ${data.what.verb || data.what.path || ""}`);
  } else if (kind === "rows") {
    drawPictures(data.run);
  } else if (kind in state) {
    state[kind][data.name] = data.value;
    draws[kind]();
    if (kind === "live") drawPictures(data.name);
  }
}

async function follow() {
  stream = new AbortController();
  const headers = { Authorization: `Bearer ${token}` };
  if (lastId) headers["Last-Event-ID"] = lastId;
  const answer = await fetch("/api/changes", { headers, signal: stream.signal });
  if (!answer.ok) throw Object.assign(new Error(await why(answer)), { status: answer.status });
  at("who").textContent = `${at("who").dataset.name}, live`;
  wait = 1000;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    kept += value;
    const whole = kept.split("\n\n");
    kept = whole.pop();
    whole.forEach(one);
  }
}

function one(block) {
  const said = {};
  block.split("\n").forEach((line) => {
    const colon = line.indexOf(": ");
    if (colon > 0) said[line.slice(0, colon)] = line.slice(colon + 2);
  });
  if (!said.event) return;
  take(said.event, JSON.parse(said.data));
  lastId = said.id;
}

async function connect() {
  try {
    const me = await (await get("/api")).json();
    role = me.caller.role;
    at("who").dataset.name = `${me.caller.name} (${role})`;
    sessionStorage.setItem("token", token);
    at("enter").hidden = true;
    at("leave").hidden = false;
    await follow();
    throw new Error("the server has ended the stream");
  } catch (error) {
    if (error.status === 401) {
      leave(error.message);
    } else if (token) {
      at("who").textContent = `not connected: ${error.message}`;
      setTimeout(connect, wait);
      wait = Math.min(2 * wait, 30000);
    }
  }
}

function leave(text) {
  token = "";
  sessionStorage.removeItem("token");
  at("enter").hidden = false;
  at("leave").hidden = true;
  at("who").textContent = text || "not connected";
  if (stream) stream.abort();
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  at("token").value = "";
  connect();
});
at("leave").addEventListener("click", () => leave(""));
if (token) connect();
