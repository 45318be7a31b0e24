// The page: which thread is open, what is fetched when, and what the buttons do.

import { follow, json, setToken, token, Unauthorised } from "./api.js";
import { apply, newThread } from "./tree.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const RECENT_EVERY = 5_000;

let open = null;
// The newest job of each recent thread.
let newest = new Map();

// ---- recent threads

async function recent() {
  const answer = await guarded(() => json("/threads?limit=50"));
  if (!answer) return;
  const threads = answer.threads ?? [];
  newest = new Map(threads.map((thread) => [thread.thread_id, thread]));
  $("recent-empty").hidden = threads.length > 0;
  $("recent").replaceChildren(...threads.map((thread) => {
    const link = view.make("a", { href: `#${encodeURIComponent(thread.thread_id)}` },
      view.make("span", { className: "id" }, thread.thread_id),
      view.make("span", { className: `badge ${thread.status}` }, thread.status),
      view.make("time", { dateTime: thread.created_at, className: "quiet" }, ago(thread.created_at)));
    if (open?.id === thread.thread_id) link.setAttribute("aria-current", "page");
    return view.make("li", {}, link);
  }));
}

function ago(time) {
  const passed = Date.now() - Date.parse(time);
  return Number.isFinite(passed) ? `${view.span(Math.max(0, passed))} ago` : "";
}

// ---- one thread

function show(id) {
  open?.stop.abort();
  $("welcome").hidden = Boolean(id);
  $("thread").hidden = !id;
  document.body.classList.remove("menu");
  $("menu").setAttribute("aria-expanded", "false");
  if (!id) {
    open = null;
    return;
  }
  open = { id, stop: new AbortController(), thread: newThread(), planned: false, state: null };
  $("thread-title").textContent = id;
  for (const panel of ["timeline", "todos", "files", "facts", "failure"]) $(panel).replaceChildren();
  draw(open);
  listen(open);
  facts(open);
  recent();
}

function listen(mine) {
  const onEvent = (kind, data) => {
    apply(mine.thread, kind, data);
    plan(mine);
    if (kind === "end") {
      facts(mine);
      recent();
    }
  };
  const onState = (state) => {
    if (mine !== open) return;
    mine.connection = state;
    $("connection").textContent = { live: "live", waiting: "reconnecting…", missing: "no such thread", ended: "" }[state];
    facts(mine);
  };
  guarded(() => follow(mine.id, { signal: mine.stop.signal, onEvent, onState }));
}

/** What only the server knows: the words for the state, the cost, the times. */
async function facts(mine) {
  const id = encodeURIComponent(mine.id);
  const state = await guarded(() => json(`/state/${id}`));
  if (mine !== open) return;
  mine.state = state;
  plan(mine);
}

function plan(mine) {
  if (mine.planned) return;
  mine.planned = true;
  requestAnimationFrame(() => {
    mine.planned = false;
    if (mine === open) draw(mine);
  });
}

function draw(mine) {
  const { thread } = mine;
  const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 80;
  view.timeline($("timeline"), thread);
  view.todos($("todos"), thread.todos);
  view.files($("files"), thread.files);
  const live = [...thread.files.values()].filter((file) => file.versions.at(-1).text !== null).length;
  $("tab-files").textContent = live ? `Files (${live})` : "Files";
  const done = thread.todos.filter((todo) => todo.status === "completed").length;
  $("tab-todos").textContent = thread.todos.length ? `Todos (${done}/${thread.todos.length})` : "Todos";
  status(mine);
  if (atEnd && status.running && !$("timeline").hidden) window.scrollTo(0, document.documentElement.scrollHeight);
}

function status(mine) {
  const last = [...mine.thread.jobs.values()].pop();
  const word = last?.status ?? mine.state?.status ?? "waiting";
  status.running = word === "running";
  $("thread-status").textContent = word;
  $("thread-status").className = `badge ${word}`;
  const error = mine.thread.failure ?? (word === "failed" ? mine.state?.error : null);
  $("failure").hidden = !error;
  if (error) {
    $("failure").replaceChildren(
      view.make("strong", {}, `The job failed: ${(error.message ?? "no reason was kept").replace(/^Graph (execution|building) failed: /, "")}`),
      view.make("p", {}, view.make("code", {}, error.code ?? error.type ?? "")));
  }
  $("facts").replaceChildren(...rows(mine).map(([name, value]) =>
    view.make("div", {}, view.make("dt", {}, name), view.make("dd", {}, value))));
}

function rows(mine) {
  const usage = mine.state?.usage ?? mine.state?.result?.usage;
  const found = [];
  const began = Date.parse(newest.get(mine.id)?.created_at);
  if (Number.isFinite(began)) {
    const end = Date.parse(newest.get(mine.id).ended_at);
    found.push(["Time", view.span((Number.isFinite(end) ? end : Date.now()) - began)]);
  }
  if (usage) {
    found.push(["Model calls", String(usage.model_calls ?? "")]);
    found.push(["Tokens", `${number(usage.input_tokens)} in, ${number(usage.output_tokens)} out`]);
    const cost = price(usage);
    if (cost !== null) found.push(["Cost", `about ${cost}`]);
  }
  const agents = mine.thread.agents.size;
  if (agents) found.push(["Sub-agents", String(agents)]);
  return found;
}

const number = (count) => (count ?? 0).toLocaleString("en");

function price(usage) {
  const [perIn, perOut] = ["price-in", "price-out"].map((name) => Number.parseFloat(localStorage.getItem(name)));
  if (!Number.isFinite(perIn) || !Number.isFinite(perOut)) return null;
  const cost = ((usage.input_tokens ?? 0) * perIn + (usage.output_tokens ?? 0) * perOut) / 1e6;
  return cost < 0.01 ? cost.toFixed(5) : cost.toFixed(2);
}

// ---- tabs, by pointer and keyboard

const tabs = [...document.querySelectorAll("[role=tab]")];

function choose(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !chosen;
  }
}

for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  });
}

// ---- settings and the rest

async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Unauthorised) settings(true);
    else if (error.name !== "AbortError") $("connection").textContent = error.message;
    return null;
  }
}

function settings(wanted) {
  if ($("settings-dialog").open) return;
  $("token-wanted").hidden = !wanted;
  $("token").value = token();
  for (const name of ["price-in", "price-out"]) $(name).value = localStorage.getItem(name) ?? "";
  $("settings-dialog").showModal();
}

$("settings").addEventListener("click", () => settings(false));
$("settings-dialog").addEventListener("close", () => {
  if ($("settings-dialog").returnValue !== "save") return;
  setToken($("token").value);
  for (const name of ["price-in", "price-out"]) localStorage.setItem(name, $(name).value);
  route();
});
$("menu").addEventListener("click", () => {
  const shown = document.body.classList.toggle("menu");
  $("menu").setAttribute("aria-expanded", String(shown));
});
$("open").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = $("thread-id").value.trim();
  if (id) location.hash = encodeURIComponent(id);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName)) return;
  event.preventDefault();
  document.body.classList.add("menu");
  $("thread-id").focus();
});

function route() {
  show(decodeURIComponent(location.hash.slice(1)));
  recent();
}

window.addEventListener("hashchange", route);
setInterval(() => {
  if (document.hidden) return;
  recent();
  if (status.running && open) facts(open);
}, RECENT_EVERY);
route();
