// Run by `node --test`; the browser test of the worker runs the page itself.

import assert from "node:assert/strict";
import test from "node:test";

import { diff, shortened } from "./diff.js";
import { apply, newThread } from "./tree.js";

function play(events) {
  const thread = newThread();
  events.forEach(([kind, data], index) => apply(thread, kind, { seq: index + 1, job_id: "j", step: 1, ...data }));
  return thread;
}

test("pieces are joined, and the finished answer takes their place", () => {
  const thread = play([
    ["on_llm_stream", { message_id: "m", content: "Hel" }],
    ["on_llm_stream", { message_id: "m", content: "lo" }],
  ]);
  assert.equal(thread.root.items[0].text, "Hello");
  apply(thread, "on_state_update", { seq: 3, job_id: "j", messages_json: [{ id: "other", type: "ai", content: "Hello." }] });
  assert.equal(thread.root.items.length, 1);
  assert.equal(thread.root.items[0].text, "Hello.");
});

test("an event that comes twice changes nothing", () => {
  const thread = play([["on_llm_stream", { message_id: "m", content: "once" }]]);
  apply(thread, "on_llm_stream", { seq: 1, job_id: "j", message_id: "m", content: "once" });
  assert.equal(thread.root.items[0].text, "once");
});

test("the text of a superseded attempt is taken back", () => {
  const thread = play([
    ["on_llm_stream", { message_id: "m", content: "wrong " }],
    ["attempt_superseded", { from_seq: 1, attempt: 2 }],
    ["on_llm_stream", { message_id: "m", content: "right" }],
  ]);
  assert.equal(thread.root.items[0].text, "right");
});

test("a sub-agent stands under the call with its task", () => {
  const task = (id, description) => ["on_tool_start", { id, name: "task", args: { subagent_type: "w", description } }];
  const thread = play([
    task("a", "first"),
    task("b", "second"),
    ["on_state_update", { ns: "tools:2", agent: "w", messages_json: [{ id: "h", type: "human", content: "second" }] }],
  ]);
  assert.equal(thread.root.calls.get("b").agent.ns, "tools:2");
  assert.equal(thread.root.calls.get("a").agent, undefined);
});

test("files keep their versions, deletions too", () => {
  const thread = play([
    ["on_state_update", { files: { "/a": { content: ["one", ""] } } }],
    ["on_state_update", { files: { "/a": { content: ["two", ""] } } }],
    ["on_state_update", { files: {} }],
  ]);
  assert.deepEqual(thread.files.get("/a").versions.map((version) => version.text), ["one\n", "two\n", null]);
});

test("a failure is kept until the thread's next job", () => {
  const thread = play([
    ["error", { error: { type: "ExecutionError", code: "x.y", message: "no" } }],
    ["end", { status: "failed" }],
  ]);
  assert.equal(thread.failure.message, "no");
  apply(thread, "on_state_update", { seq: 3, job_id: "next" });
  assert.equal(thread.failure, null);
});

test("nothing is still running once the job has ended", () => {
  const thread = play([
    ["on_llm_stream", { message_id: "m", content: "half" }],
    ["on_tool_start", { id: "a", name: "ls", args: {} }],
    ["end", { status: "failed" }],
  ]);
  assert.deepEqual(thread.root.items.slice(0, 2).map((item) => item.done ?? item.status), [true, "stopped"]);
});

test("a diff turns one text into the other, and may be shortened", () => {
  const before = Array.from({ length: 40 }, (_, line) => `line ${line}`).join("\n");
  const after = before.replace("line 20", "line twenty");
  const lines = diff(before, after);
  const side = (mark) => lines.filter((line) => line.mark === " " || line.mark === mark).map((line) => line.text).join("\n");
  assert.equal(side("-"), before);
  assert.equal(side("+"), after);
  assert.equal(shortened(lines).filter((line) => line.mark !== "…").length, 8);
});
