#!/bin/sh
# Publish a job, follow its events, read its result. Needs curl.
#
# AGENTS_URL=http://127.0.0.1:8080 sh client.sh definition.json "Write a note."
set -eu
base=${AGENTS_URL:-http://127.0.0.1:8080}
job=example-$(date +%s)-$$
agents() { curl --silent --show-error --fail ${AGENTS_TOKEN:+-H "authorization: Bearer $AGENTS_TOKEN"} "$@"; }

# The text must need no escaping in JSON; a real client has a JSON library.
printf '{"job_id":"%s","agent_definition":%s,"input_payload":{"messages":[{"role":"user","content":"%s"}]}}' \
    "$job" "$(cat "$1")" "$2" |
    agents -H 'content-type: application/json' --data-binary @- "$base/invoke" >&2

# Comes again with the last number when the connection is cut; an empty answer (204) says that nothing is left.
last=0
while events=$(agents --no-buffer -H "last-event-id: $last" "$base/threads/$job/events" | tee /dev/stderr) &&
    [ -n "$events" ]; do
    last=$(printf '%s\n' "$events" | sed -n 's/^id: //p' | tail -n 1)
    [ -n "$last" ] || last=0
done

agents "$base/state/$job"
