// Publish a job, follow its events, read its result. Node 22.6 or newer, nothing to install; Node 20 after
// `npx esbuild client.ts --format=esm --outfile=client.mjs`.
//
// AGENTS_URL=http://127.0.0.1:8080 node --experimental-strip-types client.ts definition.json "Write a note."
import { readFileSync } from "node:fs";

const base: string = process.env.AGENTS_URL ?? "http://127.0.0.1:8080";
const headers: Record<string, string> = { "content-type": "application/json" };
if (process.env.AGENTS_TOKEN) headers.authorization = `Bearer ${process.env.AGENTS_TOKEN}`;

type Followed = { event: string; data: any };

/** Every event once, through cut connections; ends when no job of the thread is open. */
async function* follow(thread: string): AsyncGenerator<Followed> {
  let last = "0";
  for (;;) {
    try {
      const answer = await fetch(`${base}/threads/${thread}/events`, { headers: { ...headers, "last-event-id": last } });
      if (answer.status === 204) return;
      if (!answer.ok || !answer.body) throw new Error(`status ${answer.status}`);
      let text = "";
      for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
        text += piece;
        const blocks = text.split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) {
          const fields = new Map(block.split("\n").map((line) => {
            const at = line.indexOf(": ");
            return [line.slice(0, at), line.slice(at + 2)] as [string, string];
          }));
          const [id, event, data] = [fields.get("id"), fields.get("event"), fields.get("data")];
          if (id === undefined || event === undefined || data === undefined) continue;
          last = id;
          yield { event, data: JSON.parse(data) };
        }
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

const [definition, text] = process.argv.slice(2);
const job = {
  job_id: `example-${crypto.randomUUID()}`,
  agent_definition: JSON.parse(readFileSync(definition, "utf8")),
  input_payload: { messages: [{ role: "user", content: text }] },
};
const started = await fetch(`${base}/invoke`, { method: "POST", headers, body: JSON.stringify(job) });
if (!started.ok) throw new Error(await started.text());
const { thread_id: thread } = await started.json();
for await (const { event, data } of follow(thread)) {
  if (event === "on_llm_stream") process.stderr.write(data.content);
  else if (event === "on_tool_start") process.stderr.write(`\n[${data.name}]\n`);
  else if (event === "attempt_superseded") process.stderr.write("\n[again]\n");
}
const state = await (await fetch(`${base}/state/${thread}`, { headers })).json();
if (state.status !== "completed") {
  console.error(state.error.message);
  process.exit(1);
}
console.log(state.result.output);
