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
  retryAll: "/v1/admin/jobs/retry",
  cancelAll: "/v1/admin/jobs/cancel",
  pause: "/v1/admin/jobs/pause",
  resume: "/v1/admin/jobs/resume",
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
// A search asks for so many pages at a time; each of them looks at ten thousand jobs.
const searchDepth = 5;

let tokens = null;
let state = null;
let shown = pageSize;
let depth = searchDepth;
// What the search form asks for, once it was sent.
let search = {};
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
  startOver();
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

// The kind and the search, as the API calls them.
const filter = () => (at("kind").value ? { kind: at("kind").value, ...search } : { ...search });

async function fetchJobs() {
  const query = new URLSearchParams({ state, limit: pageSize, ...filter() });
  const jobs = [];
  let page;
  let asked = 0;
  do {
    page = await call("GET", `${paths.jobs}?${query}`);
    jobs.push(...page.data);
    query.set("cursor", page.next_cursor);
    asked += 1;
  } while (page.has_more && jobs.length < shown && asked < depth);
  return { jobs, hasMore: page.has_more };
}

function startOver() {
  shown = pageSize;
  depth = searchDepth;
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

function showStats({ period_seconds, data, pauses, limits }) {
  const sum = (field) => data.reduce((total, kind) => total + kind[field], 0);
  // What is paused is late on purpose.
  const oldest = Math.max(0, ...data.map((kind) => (kind.due ? kind.oldest_seconds : 0)));
  const perMinute = (count) => rate((count * 60) / period_seconds);
  figures([
    ["Due", whole(sum("due"))],
    ["Oldest due", sum("due") ? duration(oldest) : "–"],
    ["Paused", whole(sum("paused"))],
    ["Scheduled", whole(sum("scheduled"))],
    ["Running", whole(sum("running"))],
    ["Dead", whole(sum("dead")), sum("dead") > 0],
    ["Done / min", perMinute(sum("succeeded"))],
    ["Failed / min", perMinute(sum("failed") + sum("lost") + sum("died"))],
  ]);
  rows(at("kinds"), data, (kind) => `${kind.queue} ${kind.kind}`, (kind, row) => [
    kind.queue,
    kind.kind,
    number(kind.due),
    number(kind.paused),
    number(kind.oldest_seconds, kind.due || kind.paused ? duration(kind.oldest_seconds) : "–"),
    number(kind.scheduled),
    number(kind.running),
    number(kind.dead, whole(kind.dead), kind.dead > 0),
    number(kind.succeeded, perMinute(kind.succeeded)),
    number(kind.failed + kind.died),
    number(kind.lost, whole(kind.lost), kind.lost > 0),
    pauseButton(row.cells[11]?.firstChild, "kind", kind.kind, pauses),
  ]);
  showPauses(pauses);
  showQueues(data, pauses);
  at("limits").replaceChildren(
    ...limits.map((limit) =>
      element("li", {}, `Rate limit of ${limit.name}: ${limit.jobs} jobs begin in ${duration(limit.period_seconds)} at most.`),
    ),
  );
  show("kinds", data.length > 0);
  show("no-kinds", data.length === 0);
  at("period").textContent = `Done, failed and lost: attempts of the last ${duration(period_seconds)}. Counts of what waits end at 10,000.`;
  show("period", data.length > 0);
  showStates({
    dead: sum("dead"),
    running: sum("running"),
    ready: sum("due") + sum("paused"),
    scheduled: sum("scheduled"),
  });
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

// ---- Pauses

const paused = (pauses, scope, name) => pauses.some((pause) => pause.scope === scope && pause.name === name);

// None where the button that is there says the right thing already, so that it keeps the focus.
function pauseButton(present, scope, name, pauses, label = "") {
  const text = (paused(pauses, scope, name) ? "Resume" : "Pause") + label;
  if (present?.textContent === text) return null;
  const button = element("button", { type: "button" }, text);
  button.addEventListener("click", () => (text.startsWith("Pause") ? pause(scope, name) : resume(scope, name)));
  return button;
}

function showQueues(data, pauses) {
  const pausedQueues = pauses.filter((pause) => pause.scope === "queue").map((pause) => pause.name);
  const names = [...new Set([...data.map((kind) => kind.queue), ...pausedQueues])].sort();
  const holder = at("queues");
  names.forEach((name, index) => {
    const button = pauseButton(holder.children[index], "queue", name, pauses, ` queue ${name}`);
    if (!button) return;
    if (holder.children[index]) holder.children[index].replaceWith(button);
    else holder.append(button);
  });
  while (holder.children.length > names.length) holder.lastChild.remove();
}

function showPauses(pauses) {
  at("pauses").replaceChildren(
    ...pauses.map((pause) => {
      const by = pause.paused_by_username ?? pause.paused_by ?? "an operator";
      const why = pause.reason ? `: ${pause.reason}` : "";
      return element("li", {}, `The ${pause.scope} ${pause.name} was paused by ${by} on ${moment(pause.paused_at)}${why}`);
    }),
  );
}

async function pause(scope, name) {
  at("reason").value = "";
  show("why", true);
  const question = `Pause the ${scope} ${name}?`;
  const yes = await confirmed(question, "None of its jobs begins until it is resumed. Running jobs finish.", "Pause");
  show("why", false);
  if (!yes) return;
  const reason = at("reason").value.trim();
  const order = reason ? { scope, name, reason } : { scope, name };
  await act(() => call("POST", paths.pause, order), `The ${scope} ${name} is paused.`);
}

async function resume(scope, name) {
  if (await confirmed(`Resume the ${scope} ${name}?`, "Its jobs begin again.", "Resume")) {
    await act(() => call("POST", paths.resume, { scope, name }), `The ${scope} ${name} is resumed.`);
  }
}

// ---- Jobs

for (const [name, { name: text }] of Object.entries(states)) {
  const button = element("button", { type: "button", value: name }, text, element("span"));
  button.addEventListener("click", () => {
    state = name;
    startOver();
    refresh();
  });
  at("states").append(button);
}

at("kind").addEventListener("change", () => {
  startOver();
  refresh();
});

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = ["user", "args", "error"].map((field) => [field, at(field).value.trim()]);
  search = Object.fromEntries(fields.filter(([, value]) => value));
  show("clear", Object.keys(search).length > 0);
  startOver();
  refresh();
});

at("clear").addEventListener("click", () => {
  at("search").reset();
  at("search").requestSubmit();
});

at("more").addEventListener("click", () => {
  shown += pageSize;
  depth += searchDepth;
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
  const filtered = Object.keys(filter()).length > 0;
  at("no-jobs").textContent = filtered ? "No such job was found." : states[state].none;
  show("more", hasMore);
  at("more").textContent = jobs.length < shown && hasMore ? "Search further" : "Show more";
  show("retry-all", ["dead", "cancelled"].includes(state) && (jobs.length > 0 || hasMore));
  at("retry-all").textContent = filtered ? "Retry all that fit" : `Retry all ${state}`;
  // Nobody cancels everything by mistake.
  show("cancel-all", ["scheduled", "ready", "running"].includes(state) && filtered && (jobs.length > 0 || hasMore));
  at("cancel-all").textContent = "Cancel all that fit";
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

// What the order is about, for the question: counted first, changed by nobody yet.
async function counted(path, order) {
  const { matched, has_more } = await call("POST", path, { ...order, dry_run: true });
  return `${has_more ? "At least " : ""}${matched.toLocaleString("en")} ${state} jobs fit.`;
}

async function orderAll(path, question, yes, news) {
  const order = { ...filter(), state };
  let about;
  try {
    about = await counted(path, order);
  } catch (error) {
    return complain(error);
  }
  if (!(await confirmed(question, about, yes))) return;
  await act(async () => {
    let answer;
    do {
      answer = await call("POST", path, order);
      order.cursor = answer.next_cursor;
    } while (answer.has_more);
  }, news);
}

at("retry-all").addEventListener("click", () =>
  orderAll(paths.retryAll, "Try all these jobs again, from their first attempts?", "Retry all", "The jobs are tried again."),
);

at("cancel-all").addEventListener("click", () =>
  orderAll(paths.cancelAll, "Cancel all these jobs?", "Cancel all", "The jobs are cancelled."),
);

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
    ["Put off", job.deferrals ? `${job.deferrals} times` : null],
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
