"""Publish a job, follow its events, read its result. Python 3.9 or newer, nothing to install.

AGENTS_URL=http://127.0.0.1:8080 python3 client.py definition.json "Write a note."
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

BASE = os.environ.get("AGENTS_URL", "http://127.0.0.1:8080")
HEADERS = {"content-type": "application/json"}
if "AGENTS_TOKEN" in os.environ:
    HEADERS["authorization"] = "Bearer " + os.environ["AGENTS_TOKEN"]


def request(method, path, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.urlopen(urllib.request.Request(BASE + path, data, {**HEADERS, **headers}, method=method))


def follow(thread):
    """Every event once, through cut connections; ends when no job of the thread is open."""
    last = 0
    while True:
        try:
            with request("GET", f"/threads/{thread}/events", **{"last-event-id": str(last)}) as answer:
                if answer.status == 204:
                    return
                kind = None
                for line in answer:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "id":
                        last = int(value)
                    elif name == "event":
                        kind = value
                    elif name == "data":
                        yield kind, json.loads(value)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(1)


def main(definition, text):
    job = {
        "job_id": "example-" + uuid.uuid4().hex,
        "agent_definition": json.load(open(definition)),
        "input_payload": {"messages": [{"role": "user", "content": text}]},
    }
    with request("POST", "/invoke", job) as answer:
        thread = json.load(answer)["thread_id"]
    for kind, data in follow(thread):
        if kind == "on_llm_stream":
            print(data["content"], end="", flush=True, file=sys.stderr)
        elif kind == "on_tool_start":
            print(f"\n[{data['name']}]", file=sys.stderr)
        elif kind == "attempt_superseded":
            print("\n[again]", file=sys.stderr)
    with request("GET", f"/state/{thread}") as answer:
        state = json.load(answer)
    if state["status"] != "completed":
        sys.exit(state["error"]["message"])
    print(state["result"]["output"])


main(*sys.argv[1:])
