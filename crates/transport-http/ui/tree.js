// What a thread's events say, as a tree: no page and no network in here.

/** A thread of which nothing is known yet. */
export function newThread() {
  return {
    lastSeq: 0,
    jobs: new Map(),
    root: newAgent("", "orchestrator"),
    agents: new Map(),
    todos: [],
    files: new Map(),
    failure: null,
    // Items that changed since the page last looked.
    dirty: new Set(),
  };
}

function newAgent(ns, name) {
  return { ns, name, items: [], turns: new Map(), seen: new Set(), calls: new Map() };
}

/** Takes one event in. An event that was seen before, by its number, changes nothing. */
export function apply(thread, kind, data) {
  if (data.seq <= thread.lastSeq) return;
  thread.lastSeq = data.seq;
  const agent = agentOf(thread, data);
  const job = jobOf(thread, data);
  switch (kind) {
    case "on_state_update":
      messages(thread, agent, data.messages_json ?? []);
      if (!agent.ns && data.todos) thread.todos = data.todos;
      if (!agent.ns && data.files) files(thread, data.files, data.seq);
      break;
    case "on_llm_stream":
      piece(thread, agent, data);
      break;
    case "on_tool_start":
      call(thread, agent, data);
      break;
    case "on_tool_end":
      ended(thread, agent, data);
      break;
    case "attempt_superseded":
      supersede(thread, data);
      break;
    case "error":
      job.failure = data.error;
      thread.failure = data.error;
      add(thread, agent, { kind: "error", error: data.error });
      break;
    case "end":
      job.status = data.status ?? (job.failure ? "failed" : "completed");
      if (job.status === "completed") thread.failure = null;
      stop(thread);
      add(thread, thread.root, { kind: "end", status: job.status, job: data.job_id });
      break;
    case "gap":
      add(thread, thread.root, { kind: "note", text: `Events ${data.from_seq} to ${data.to_seq} were not received.` });
      break;
    default:
      // An event of a newer worker.
      add(thread, agent, { kind: "note", text: kind });
  }
}

function jobOf(thread, data) {
  const id = data.job_id ?? "";
  if (!thread.jobs.has(id)) {
    thread.jobs.set(id, { id, status: "running", failure: null });
    thread.failure = null;
  }
  return thread.jobs.get(id);
}

function agentOf(thread, data) {
  if (!data.ns) return thread.root;
  const known = thread.agents.get(data.ns);
  if (known) return known;
  const agent = newAgent(data.ns, data.agent ?? "sub-agent");
  thread.agents.set(data.ns, agent);
  adopt(thread, agent, data);
  return agent;
}

/** Puts a new sub-agent under the task call that began it: the one with its text, else the oldest that waits. */
function adopt(thread, agent, data) {
  const cut = agent.ns.lastIndexOf("|");
  const parent = (cut > 0 && thread.agents.get(agent.ns.slice(0, cut))) || thread.root;
  const waiting = parent.items.filter((item) =>
    item.kind === "call" && item.name === "task" && !item.agent && item.args?.subagent_type === agent.name);
  const asked = data.messages_json?.find((message) => message.type === "human");
  const call = waiting.find((item) => asked && item.args.description === text(asked.content)) ?? waiting[0];
  if (call) {
    call.agent = agent;
    thread.dirty.add(call);
  } else {
    add(thread, parent, { kind: "agent", agent });
  }
}

function add(thread, agent, item) {
  agent.items.push(item);
  thread.dirty.add(item);
  return item;
}

/** The text of a message's content, a string or a list of blocks. */
export function text(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content == null ? "" : JSON.stringify(content);
  return content.map((block) => (typeof block === "string" ? block : block.text ?? "")).join("");
}

function messages(thread, agent, list) {
  for (const message of list) {
    if (agent.seen.has(message.id)) continue;
    agent.seen.add(message.id);
    if (message.type === "human") {
      add(thread, agent, { kind: "user", text: text(message.content) });
    } else if (message.type === "ai") {
      settle(thread, agent, message);
    } else if (message.type === "tool") {
      const item = agent.calls.get(message.tool_call_id);
      if (item && item.output === undefined) {
        item.output = text(message.content);
        item.status = message.status ?? "success";
        thread.dirty.add(item);
      }
    }
  }
}

/** A finished answer takes the place of its pieces. */
function settle(thread, agent, message) {
  let item = agent.turns.get(message.id);
  // Some providers name the answer only at its end: then the open turn is meant.
  item ??= [...agent.turns.values()].find((turn) => !turn.done);
  item ??= add(thread, agent, newTurn());
  agent.turns.set(message.id, item);
  item.text = text(message.content);
  item.done = true;
  item.pieces = [];
  thread.dirty.add(item);
  for (const wanted of message.tool_calls ?? []) {
    if (!agent.calls.has(wanted.id)) call(thread, agent, wanted);
  }
}

function newTurn() {
  return { kind: "turn", text: "", thinking: "", pieces: [], done: false, summary: false };
}

function piece(thread, agent, data) {
  let item = agent.turns.get(data.message_id);
  if (!item) {
    item = add(thread, agent, newTurn());
    agent.turns.set(data.message_id, item);
  }
  if (item.done) return;
  item.summary = data.source === "summarization";
  item.pieces.push({ seq: data.seq, text: data.content ?? "", thinking: data.thinking ?? "" });
  join(item);
  thread.dirty.add(item);
}

function join(item) {
  item.text = item.pieces.map((part) => part.text).join("");
  item.thinking = item.pieces.map((part) => part.thinking).join("");
}

/** Text of an attempt that does not count is taken back: of one agent, or of all after another worker took over. */
function supersede(thread, data) {
  const everyone = [thread.root, ...thread.agents.values()];
  const touched = data.ns || data.step > 0 ? [agentOf(thread, data)] : everyone;
  for (const item of touched.flatMap((agent) => [...agent.turns.values()])) {
    if (item.done || !item.pieces.some((part) => part.seq >= data.from_seq)) continue;
    item.pieces = item.pieces.filter((part) => part.seq < data.from_seq);
    join(item);
    thread.dirty.add(item);
  }
}

function call(thread, agent, data) {
  const known = agent.calls.get(data.id);
  if (known) {
    known.args = data.args;
    thread.dirty.add(known);
    return;
  }
  const item = add(thread, agent, { kind: "call", id: data.id, name: data.name, args: data.args, status: "running" });
  agent.calls.set(data.id, item);
}

function ended(thread, agent, data) {
  if (!agent.calls.has(data.id)) call(thread, agent, { ...data, args: {} });
  const item = agent.calls.get(data.id);
  item.output = text(data.output);
  item.status = data.status ?? "success";
  item.duration = data.duration_ms;
  thread.dirty.add(item);
}

/** What had not ended when the job did will not end any more. */
function stop(thread) {
  for (const item of [thread.root, ...thread.agents.values()].flatMap((agent) => agent.items)) {
    const open = (item.kind === "turn" && !item.done) || (item.kind === "call" && item.status === "running");
    if (!open) continue;
    if (item.kind === "turn") item.done = true;
    else item.status = "stopped";
    thread.dirty.add(item);
  }
}

/** Remembers each version of each file; `null` text: it was deleted. */
function files(thread, map, seq) {
  for (const [path, file] of Object.entries(map)) {
    const now = Array.isArray(file.content) ? file.content.join("\n") : file.content ?? "";
    const held = thread.files.get(path) ?? { path, versions: [], binary: file.encoding === "base64" };
    if (held.versions.at(-1)?.text !== now) held.versions.push({ seq, text: now });
    thread.files.set(path, held);
  }
  for (const held of thread.files.values()) {
    if (!(held.path in map) && held.versions.at(-1)?.text !== null) held.versions.push({ seq, text: null });
  }
}
