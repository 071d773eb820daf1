// The operator's page: counts and jobs, fetched anew every few seconds. Tokens live in this page's
// memory alone, so that a reload signs out and no other page can find them.
"use strict";

// A test holds these to the document.
const paths = {
  login: "/v1/auth/login",
  refresh: "/v1/auth/refresh",
  logout: "/v1/auth/logout",
  stats: "/v1/admin/jobs/stats",
  jobs: "/v1/admin/jobs",
  job: "/v1/admin/jobs/{job_id}",
  retry: "/v1/admin/jobs/{job_id}/retry",
  cancel: "/v1/admin/jobs/{job_id}/cancel",
  retryDead: "/v1/admin/jobs/retry",
};
const states = {
  dead: { name: "Dead", none: "No job is dead." },
  running: { name: "Running", none: "No job is running." },
  ready: { name: "Due", none: "No job is due." },
  scheduled: { name: "Scheduled", none: "No job is for later." },
  done: { name: "Done", none: "No finished job is kept." },
  cancelled: { name: "Cancelled", none: "No cancelled job is kept." },
};
const every = 3000;
const patience = 10000;
const pageSize = 50;

let tokens = null;
let state = null;
let shown = pageSize;
let freshAt = null;
let timer = 0;
// Until then the alert tells of an order that was refused.
let complainedUntil = 0;
// Each look at the jobs has a number, and only the latest is shown.
let look = 0;

const at = (id) => document.getElementById(id);
const show = (id, visible) => (at(id).hidden = !visible);

// ---- Talking to the API

// The API answered and refused.
class Refused extends Error {
  constructor(status, problem) {
    super(problem.errors?.[0]?.detail ?? problem.detail ?? `HTTP ${status}`);
    this.status = status;
  }
}

// The API did not answer, or a proxy answered for it.
class Away extends Error {}

async function send(method, path, body) {
  const headers = { Accept: "application/json" };
  if (tokens) headers.Authorization = `Bearer ${tokens.access_token}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer, json;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(patience),
    });
    json = answer.status === 204 ? {} : await answer.json();
  } catch {
    throw new Away();
  }
  if (answer.ok) return json;
  if (answer.status >= 502) throw new Away();
  throw new Refused(answer.status, json);
}

let exchange = null;

// As the person who signed in; an access token that has ended is exchanged once.
async function call(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401 || !tokens) throw error;
    // Requests at the same time share one exchange: the token is good for one.
    exchange ??= send("POST", paths.refresh, { refresh_token: tokens.refresh_token }).finally(() => (exchange = null));
    tokens = await exchange;
    return send(method, path, body);
  }
}

const fill = (path, id) => path.replace("{job_id}", encodeURIComponent(id));

// ---- Signing in and out

at("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  show("refusal", false);
  try {
    const login = { username: at("username").value, password: at("password").value, scope: "admin" };
    tokens = await send("POST", paths.login, login);
    at("password").value = "";
    enter();
  } catch (error) {
    refuse(error instanceof Away ? "The API does not answer. Try again in a moment." : sentence(error.message));
  } finally {
    button.disabled = false;
  }
});

at("sign-out").addEventListener("click", async () => {
  // Whether or not the API hears of it, the tokens are forgotten here.
  await call("POST", paths.logout).catch(() => {});
  leave();
});

function enter() {
  state = null;
  shown = pageSize;
  show("door", false);
  show("sign-out", true);
  refresh();
}

function leave(reason) {
  tokens = null;
  look += 1;
  clearTimeout(timer);
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const id of ["board", "sign-out", "freshness", "alert"]) show(id, false);
  document.title = "Jobs · TaskHub";
  show("door", true);
  show("refusal", false);
  if (reason) refuse(reason);
  at(at("username").value ? "password" : "username").focus();
}

function refuse(text) {
  at("refusal").textContent = text;
  show("refusal", true);
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + ".";

// ---- Refreshing

async function refresh() {
  clearTimeout(timer);
  const number = (look += 1);
  try {
    const stats = await call("GET", paths.stats);
    if (number !== look) return;
    state ??= stats.data.some((kind) => kind.dead) ? "dead" : "running";
    const jobs = await fetchJobs();
    if (number !== look) return;
    showStats(stats);
    showJobs(jobs);
    show("board", true);
    fresh();
  } catch (error) {
    if (number !== look) return;
    if (error instanceof Refused && error.status === 401) return leave("Your session has ended. Sign in again.");
    if (error instanceof Refused && error.status === 403) return leave("ADMIN_USERS no longer names you.");
    stale(error);
  }
  if (number === look) timer = setTimeout(refresh, every);
}

async function fetchJobs() {
  const query = new URLSearchParams({ state, limit: pageSize });
  if (at("kind").value) query.set("kind", at("kind").value);
  const jobs = [];
  let page;
  do {
    page = await call("GET", `${paths.jobs}?${query}`);
    jobs.push(...page.data);
    query.set("cursor", page.next_cursor);
  } while (page.has_more && jobs.length < shown);
  return { jobs, hasMore: page.has_more };
}

function fresh() {
  freshAt = new Date();
  at("freshness").textContent = `as of ${freshAt.toLocaleTimeString()}`;
  show("freshness", true);
  if (Date.now() > complainedUntil) show("alert", false);
}

function stale(error) {
  const since = freshAt ? ` What you see is as of ${freshAt.toLocaleTimeString()}.` : "";
  const what = error instanceof Refused ? sentence(error.message) : "The API does not answer.";
  const text = `${what} Trying again every ${every / 1000} seconds.${since}`;
  // Said once, not at every attempt.
  if (at("alert").hidden || at("alert").textContent !== text) at("alert").textContent = text;
  show("alert", true);
}

function complain(error) {
  if (error instanceof Away) return stale(error);
  at("alert").textContent = sentence(error.message);
  show("alert", true);
  complainedUntil = Date.now() + patience;
}

document.addEventListener("visibilitychange", () => {
  if (!tokens) return;
  if (document.hidden) clearTimeout(timer);
  else refresh();
});

// ---- Counts

function showStats({ period_seconds, data }) {
  const sum = (field) => data.reduce((total, kind) => total + kind[field], 0);
  const oldest = Math.max(0, ...data.map((kind) => kind.oldest_seconds));
  const perMinute = (count) => rate((count * 60) / period_seconds);
  figures([
    ["Due", whole(sum("due"))],
    ["Oldest due", sum("due") ? duration(oldest) : "–"],
    ["Scheduled", whole(sum("scheduled"))],
    ["Running", whole(sum("running"))],
    ["Dead", whole(sum("dead")), sum("dead") > 0],
    ["Done / min", perMinute(sum("succeeded"))],
    ["Failed / min", perMinute(sum("failed") + sum("lost") + sum("died"))],
  ]);
  rows(at("kinds"), data, (kind) => `${kind.queue} ${kind.kind}`, (kind) => [
    kind.queue,
    kind.kind,
    number(kind.due),
    number(kind.oldest_seconds, kind.due ? duration(kind.oldest_seconds) : "–"),
    number(kind.scheduled),
    number(kind.running),
    number(kind.dead, whole(kind.dead), kind.dead > 0),
    number(kind.succeeded, perMinute(kind.succeeded)),
    number(kind.failed + kind.died),
    number(kind.lost, whole(kind.lost), kind.lost > 0),
  ]);
  show("kinds", data.length > 0);
  show("no-kinds", data.length === 0);
  at("period").textContent = `Done, failed and lost: attempts of the last ${duration(period_seconds)}. Counts of what waits end at 10,000.`;
  show("period", data.length > 0);
  showStates({ dead: sum("dead"), running: sum("running"), ready: sum("due"), scheduled: sum("scheduled") });
  offerKinds(data.map((kind) => kind.kind));
  document.title = sum("dead") ? `${whole(sum("dead"))} dead · Jobs · TaskHub` : "Jobs · TaskHub";
}

function figures(list) {
  const holder = at("figures");
  list.forEach(([name, value, bad], index) => {
    const pair = holder.children[index] ?? holder.appendChild(element("div", {}, element("dt"), element("dd")));
    pair.children[0].textContent = name;
    pair.children[1].textContent = value;
    pair.children[1].className = bad ? "bad" : "";
  });
}

function offerKinds(kinds) {
  const select = at("kind");
  const known = new Set([...select.options].map((option) => option.value));
  for (const kind of kinds) if (!known.has(kind)) select.add(new Option(kind, kind));
}

// ---- Jobs

for (const [name, { name: text }] of Object.entries(states)) {
  const button = element("button", { type: "button", value: name }, text, element("span"));
  button.addEventListener("click", () => {
    state = name;
    shown = pageSize;
    refresh();
  });
  at("states").append(button);
}

at("kind").addEventListener("change", () => {
  shown = pageSize;
  refresh();
});

at("more").addEventListener("click", () => {
  shown += pageSize;
  refresh();
});

function showStates(counts) {
  for (const button of at("states").children) {
    button.setAttribute("aria-pressed", button.value === state);
    button.lastChild.textContent = counts[button.value] ? whole(counts[button.value]) : "";
  }
}

function showJobs({ jobs, hasMore }) {
  rows(at("jobs"), jobs, (job) => job.id, (job, row) => [
    jobCell(job, row),
    job.finished_at ? time(job.finished_at) : time(job.due_at, "due "),
    number(job.attempt, `${job.attempt} of ${job.max_attempts}`),
    known(job),
    actions(job, row),
  ]);
  show("jobs", jobs.length > 0);
  show("no-jobs", jobs.length === 0);
  at("no-jobs").textContent = states[state].none;
  show("more", hasMore);
  show("retry-dead", state === "dead" && jobs.length > 0);
  at("retry-dead").textContent = at("kind").value ? "Retry all dead of this kind" : "Retry all dead";
}

function known(job) {
  if (job.cancel_requested && job.state === "running") return "is being cancelled";
  const parts = [
    job.state === "running" && job.worker_id && `on ${job.worker_id}`,
    job.progress !== null && JSON.stringify(job.progress),
    job.state === "done" && job.result !== null && JSON.stringify(job.result),
    !["done", "cancelled"].includes(job.state) && job.last_error,
  ];
  return parts.filter(Boolean).join(" · ") || "–";
}

// Kept from one look to the next, so that what has the focus keeps it.
function jobCell(job, row) {
  if (row.cells[0]?.firstChild) return null;
  const id = element("button", { type: "button", className: "id", title: job.id }, job.id.slice(0, 8));
  id.addEventListener("click", () => openDetails(job.id));
  return element("div", {}, element("div", {}, job.kind), id);
}

function actions(job, row) {
  const wanted = ["dead", "cancelled"].includes(job.state)
    ? "Retry"
    : job.state !== "done" && !job.cancel_requested && "Cancel";
  if ((row.cells[4]?.textContent || false) === wanted) return null;
  if (!wanted) return "";
  const button = element("button", { type: "button" }, wanted);
  button.addEventListener("click", () => (wanted === "Retry" ? retry(job) : cancel(job)));
  return button;
}

const subject = (job) => `${job.kind}, ${job.id}`;

async function retry(job) {
  if (await confirmed("Try this job again, from its first attempt?", subject(job), "Retry")) {
    await act(() => call("POST", fill(paths.retry, job.id)), "The job is tried again.");
  }
}

async function cancel(job) {
  const question =
    job.state === "running" ? "Ask the worker to end this job?" : "Cancel this job before it has run?";
  if (await confirmed(question, subject(job), "Cancel job")) {
    await act(() => call("POST", fill(paths.cancel, job.id)), "The job is cancelled.");
  }
}

at("retry-dead").addEventListener("click", async () => {
  const kind = at("kind").value;
  if (await confirmed("Try all dead jobs again, from their first attempts?", kind ? `of the kind ${kind}` : "of every kind", "Retry all")) {
    await act(() => call("POST", paths.retryDead, kind ? { kind } : {}), "The dead jobs are tried again.");
  }
});

async function act(work, news) {
  try {
    await work();
    at("news").textContent = news;
    complainedUntil = 0;
  } catch (error) {
    complain(error);
  }
  await refresh();
}

// ---- Dialogs

function confirmed(question, about, yes) {
  const dialog = at("question");
  at("question-text").textContent = question;
  at("question-subject").textContent = about;
  dialog.querySelector("[value=yes]").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}

for (const button of document.querySelectorAll("dialog button")) {
  button.addEventListener("click", () => button.closest("dialog").close(button.value));
}

async function openDetails(id) {
  let job;
  try {
    job = await call("GET", fill(paths.job, id));
  } catch (error) {
    return complain(error);
  }
  at("details-title").textContent = job.kind;
  const facts = [
    ["Id", job.id],
    ["State", job.cancel_requested && job.state === "running" ? "running, is being cancelled" : job.state],
    ["Queue", `${job.queue}, priority ${job.priority}`],
    ["Attempt", `${job.attempt} of ${job.max_attempts}` + (job.crashes ? `, ${job.crashes} crashes` : "")],
    ["Enqueued", moment(job.created_at)],
    job.finished_at ? ["Finished", moment(job.finished_at)] : ["Due", moment(job.due_at)],
    ["Worker", job.worker_id],
    ["User", job.user_id],
    ["Workspace", job.workspace_id],
    ["Trace", job.trace_id],
    ["Last error", job.last_error],
    ["Result", job.result && JSON.stringify(job.result)],
  ];
  at("facts").replaceChildren(
    ...facts.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
  at("arguments").textContent = JSON.stringify(job.args, null, 2);
  const happened = job.log.map((entry) =>
    [moment(entry.at), entry.attempt ? `attempt ${entry.attempt} ${entry.outcome}` : entry.outcome, entry.error]
      .filter(Boolean)
      .join(" · "),
  );
  at("log").replaceChildren(...(happened.length ? happened : ["Nothing yet."]).map((text) => element("li", {}, text)));
  at("details").showModal();
}

// ---- Elements and words

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Brings a table's rows in line with `items`. A cell is text, an element, `{text, className, title}`,
// or null where it stays as it is.
function rows(table, items, key, cells) {
  const body = table.tBodies[0];
  const columns = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const present = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const row = present.get(key(item)) ?? element("tr");
    present.delete(key(item));
    row.dataset.key = key(item);
    cells(item, row).forEach((content, column) => {
      const cell = row.cells[column] ?? row.appendChild(element("td"));
      cell.dataset.column = columns[column];
      if (content === null) return;
      const { text = content, className = "", title = "" } = content.nodeType ? {} : content;
      if (content.nodeType) cell.replaceChildren(content);
      else if (cell.textContent !== text) cell.textContent = text;
      cell.className = className;
      cell.title = title;
    });
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
  for (const row of present.values()) row.remove();
}

const whole = (count) => (count >= 10000 ? "10,000+" : count.toLocaleString("en"));
const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));
const number = (value, text = whole(value), bad = false) => ({
  text,
  className: `number${value ? "" : " zero"}${bad ? " bad" : ""}`,
});

function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  const [unit, size] = units.find(([, size]) => seconds >= size * 2 || (seconds >= size && seconds % size === 0)) ?? ["s", 1];
  return `${Math.floor(seconds / size)} ${unit}`;
}

const moment = (iso) => new Date(iso).toLocaleString();

function time(iso, before = "") {
  const seconds = Math.round((Date.now() - new Date(iso)) / 1000);
  const text = seconds < 0 ? `in ${duration(-seconds)}` : `${duration(seconds)} ago`;
  return { text: before + text, title: moment(iso) };
}

leave();
