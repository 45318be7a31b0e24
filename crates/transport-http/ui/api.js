// Talks to the worker: JSON by fetch, events as Server-Sent Events by fetch, so that the token goes in a header.

/** The server asks for a token, or refuses the one it got. */
export class Unauthorised extends Error {}

// The page may be served under a prefix: everything before `/ui/` is it.
const base = location.pathname.replace(/\/ui\/?.*$/, "");

export function token() {
  return sessionStorage.getItem("token") ?? "";
}

export function setToken(text) {
  sessionStorage.setItem("token", text.trim());
}

function headers(extra = {}) {
  const held = token();
  return held ? { ...extra, authorization: `Bearer ${held}` } : extra;
}

async function ask(path, options = {}) {
  const answer = await fetch(base + path, { ...options, headers: headers(options.headers) });
  if (answer.status === 401 || answer.status === 403) throw new Unauthorised(path);
  return answer;
}

/** The JSON at `path`; null where there is nothing. */
export async function json(path) {
  const answer = await ask(path, { headers: { accept: "application/json" } });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: the server answered ${answer.status}`);
  return answer.json();
}

/**
 * Follows a thread from its first event, over broken connections, until `signal` says stop or the server says
 * that nothing more will come. `onEvent(kind, data)` for each event; `onState("live" | "waiting" | "ended")`.
 */
export async function follow(thread, { signal, onEvent, onState }) {
  let last = "0";
  let pause = 500;
  while (!signal.aborted) {
    try {
      const path = `/threads/${encodeURIComponent(thread)}/events`;
      const answer = await ask(path, {
        signal,
        headers: { accept: "text/event-stream", "last-event-id": last },
      });
      if (answer.status === 404) return onState("missing");
      if (answer.status === 204) return onState("ended");
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      onState("live");
      pause = 500;
      for await (const event of events(answer.body)) {
        if (event.id) last = event.id;
        onEvent(event.kind, JSON.parse(event.data));
      }
      // The server ends the answer when no job of the thread is left to run.
      return onState("ended");
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Unauthorised) throw error;
      onState("waiting");
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(pause * 2, 10_000);
    }
  }
}

/** The events of a Server-Sent Events body. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { kind: "message", id: "", data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length) yield { kind: event.kind, id: event.id, data: event.data.join("\n") };
        event = { kind: "message", id: event.id, data: [] };
        continue;
      }
      const cut = line.indexOf(":");
      const field = cut < 0 ? line : line.slice(0, cut);
      const text = cut < 0 ? "" : line.slice(cut + 1).replace(/^ /, "");
      if (field === "event") event.kind = text;
      else if (field === "id") event.id = text;
      else if (field === "data") event.data.push(text);
    }
  }
}
