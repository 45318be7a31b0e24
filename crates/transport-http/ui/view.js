// Draws a thread. Only what changed is drawn again; every text goes in as text, never as markup.

import { diff, shortened } from "./diff.js";

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const drawn = new WeakMap();
const lists = new WeakMap();

/** Brings the timeline up to date with the items that changed. */
export function timeline(host, thread) {
  if (!host.firstChild) host.append(agentList(thread.root));
  for (const item of thread.dirty) {
    const held = drawn.get(item);
    if (held) update(held, item);
  }
  thread.dirty.clear();
  fill(thread.root);
  for (const agent of thread.agents.values()) fill(agent);
}

function agentList(agent) {
  const list = make("ol", { className: "items" });
  list.setAttribute("aria-label", agent.name);
  lists.set(agent, list);
  return list;
}

/** Adds the items that came since. */
function fill(agent) {
  const list = lists.get(agent);
  if (!list) return;
  for (const item of agent.items.slice(list.childElementCount)) {
    const element = make("li", { className: `item ${item.kind}` });
    drawn.set(item, element);
    build(element, item);
    update(element, item);
    list.append(element);
  }
}

function build(element, item) {
  if (item.kind === "turn") {
    element.append(
      make("details", { className: "thinking", hidden: true }, make("summary", {}, "Thinking"), make("pre")),
      make("div", { className: "says" }),
    );
  } else if (item.kind === "call") {
    element.append(
      make("details", {},
        make("summary", {},
          make("span", { className: "mark" }), make("code", { className: "name" }), make("span", { className: "brief" }),
          make("span", { className: "took" })),
        make("h4", {}, "Arguments"), make("pre", { className: "args" }),
        make("h4", {}, "Result"), make("pre", { className: "output" })));
  }
}

function update(element, item) {
  switch (item.kind) {
    case "user":
      element.replaceChildren(make("span", { className: "who" }, "Input"), make("div", { className: "says" }, item.text));
      break;
    case "turn":
      updateTurn(element, item);
      break;
    case "call":
      updateCall(element, item);
      break;
    case "agent":
      element.replaceChildren(subAgent(item.agent));
      break;
    case "error":
      element.replaceChildren(`${item.error?.type ?? "Error"}: ${item.error?.message ?? ""}`);
      break;
    case "end":
      element.replaceChildren(`Job ${item.job} ${item.status}`);
      break;
    default:
      element.replaceChildren(item.text);
  }
}

function updateTurn(element, item) {
  const [thinking, says] = element.children;
  thinking.hidden = !item.thinking;
  thinking.querySelector("pre").textContent = item.thinking;
  says.textContent = item.text;
  says.hidden = !item.text;
  element.classList.toggle("open", !item.done);
  element.classList.toggle("summary", item.summary);
  // An answer that only calls tools says nothing itself.
  element.hidden = item.done && !item.text && !item.thinking;
}

const MARKS = { running: "●", success: "✓", error: "✕", stopped: "–" };

function updateCall(element, item) {
  element.dataset.status = item.status;
  element.querySelector(".mark").textContent = MARKS[item.status] ?? "?";
  element.querySelector(".mark").title = item.status;
  element.querySelector(".name").textContent = item.name === "task" ? item.args?.subagent_type ?? "task" : item.name;
  element.querySelector(".brief").textContent = brief(item);
  element.querySelector(".took").textContent = item.duration == null ? "" : span(item.duration);
  element.querySelector(".args").textContent = JSON.stringify(item.args ?? {}, null, 2);
  element.querySelector(".output").textContent = item.output ?? "(not there yet)";
  if (item.agent && !lists.has(item.agent)) element.append(make("section", { className: "agent" }, agentList(item.agent)));
}

function subAgent(agent) {
  return make("section", { className: "agent" }, make("h3", {}, agent.name), agentList(agent));
}

/** What a call is about, in a few words. */
function brief(item) {
  const args = item.args ?? {};
  if (Array.isArray(args.todos)) return `${args.todos.length} items`;
  const words = args.file_path ?? args.path ?? args.pattern ?? args.description ?? Object.values(args)[0] ?? "";
  const line = (typeof words === "string" ? words : JSON.stringify(words)).replace(/\s+/g, " ");
  return line.length > 90 ? `${line.slice(0, 90)}…` : line;
}

/** A time in words. */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

const TODO_MARKS = { pending: "○", in_progress: "◐", completed: "●" };

export function todos(host, list) {
  if (!list.length) return host.replaceChildren(make("p", { className: "quiet" }, "No todo list was written."));
  host.replaceChildren(make("ul", { className: "todos" }, ...list.map((todo) =>
    make("li", { className: todo.status },
      make("span", { className: "mark", ariaHidden: "true" }, TODO_MARKS[todo.status] ?? "○"),
      make("span", {}, todo.content),
      make("span", { className: "quiet" }, todo.status.replace("_", " "))))));
}

export function files(host, map) {
  const open = new Set([...host.querySelectorAll("details[open]")].map((element) => element.dataset.path));
  const list = [...map.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  if (!list.length) return host.replaceChildren(make("p", { className: "quiet" }, "No file was written."));
  host.replaceChildren(...list.map((file) => fileRow(file, open.has(file.path))));
}

function fileRow(file, open) {
  const now = file.versions.at(-1);
  const gone = now.text === null;
  const row = make("details", { className: gone ? "file gone" : "file", open },
    make("summary", {},
      make("code", {}, file.path),
      make("span", { className: "quiet" }, gone ? "deleted" : sizes(file, now.text))));
  row.dataset.path = file.path;
  const body = make("div", { className: "content" });
  row.append(body);
  const show = () => { if (row.open && !body.firstChild) body.append(...content(file, now)); };
  row.addEventListener("toggle", show);
  show();
  return row;
}

function sizes(file, now) {
  const bytes = new Blob([now]).size;
  const size = bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} kB`;
  return file.versions.length > 1 ? `${size}, ${file.versions.length} versions` : size;
}

function content(file, now) {
  const parts = [];
  if (now.text !== null) {
    const name = file.path.split("/").pop() || "file";
    const link = make("a", { className: "button", href: address(file, now.text), download: name }, "Download");
    parts.push(make("div", { className: "row" }, link));
  }
  const before = file.versions.at(-2);
  if (before && before.text !== null) {
    parts.push(make("h4", {}, "Last change"), changes(before.text, now.text ?? ""));
  }
  if (file.binary) parts.push(make("p", { className: "quiet" }, "Not a text file."));
  else if (now.text !== null) parts.push(make("h4", {}, "Content"), make("pre", { className: "text" }, now.text));
  return parts;
}

function address(file, held) {
  if (!file.binary) return URL.createObjectURL(new Blob([held], { type: "text/plain;charset=utf-8" }));
  const bytes = Uint8Array.from(atob(held), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes]));
}

const CHANGE = { "+": "come", "-": "gone", " ": "same", "…": "left-out" };

function changes(before, after) {
  // Where both end their last line there is no change after it to show.
  const end = before.endsWith("\n") && after.endsWith("\n") ? -1 : undefined;
  const lines = shortened(diff(before.slice(0, end), after.slice(0, end)));
  return make("pre", { className: "diff" }, ...lines.map((line) =>
    make("span", { className: CHANGE[line.mark] }, `${line.mark} ${line.text}\n`)));
}
