#!/usr/bin/env bash
# Builds the image from binaries that lie below the repository, and runs it as the cluster would: init container,
# provisioning, worker, one job end to end; the image's own user, a read-only root, no capabilities.
#   deploy/try-image.sh FOLDER          (holds worker, migrate-init, tool-launcher)
# Needs a Docker engine and images of PostgreSQL, NATS and a Redis-protocol server; ../shared/images/build makes them where
# no registry can be reached. The model is MODEL_URL, an OpenAI-compatible server on this host.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:?folder with the binaries, below the repository}
base=${RUNTIME_IMAGE:-agent-executor-test/debian:bookworm}
images=(${POSTGRES_IMAGE:-agent-executor-test/postgres:16} ${NATS_IMAGE:-agent-executor-test/nats:2} ${REDIS_IMAGE:-agent-executor-test/valkey:8})
model=${MODEL_URL:?base URL of a model server, such as http://127.0.0.1:18100/v1}
name=try-image-$$ image=agent-executor:try

DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0} docker build -q -f deploy/Dockerfile.prebuilt \
  --build-arg "BINARIES=$folder" --build-arg "RUNTIME_IMAGE=$base" -t "$image" . >/dev/null
added() { echo $(($(docker image inspect -f '{{.Size}}' "$image") - $(docker image inspect -f '{{.Size}}' "$base"))); }
echo "size: $(docker image inspect -f '{{.Size}}' "$image") bytes, $(added) of them above the base"
echo "user: $(docker image inspect -f '{{.Config.User}}' "$image")"

trap 'docker rm -f "$name-pg" "$name-nats" "$name-redis" "$name-worker" >/dev/null 2>&1' EXIT
docker run -d --name "$name-pg" --network host -e POSTGRES_USER=u -e POSTGRES_PASSWORD=p -e POSTGRES_DB=d "${images[0]}" -p 25433 >/dev/null
docker run -d --name "$name-nats" --network host "${images[1]}" -js -p 24222 -m 28222 >/dev/null
docker run -d --name "$name-redis" --network host "${images[2]}" --port 26380 >/dev/null

restricted=(--network host --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp:size=64m)
environment=(-e POSTGRES_HOST=127.0.0.1 -e POSTGRES_PORT=25433 -e POSTGRES_DB=d -e POSTGRES_USER=u -e POSTGRES_PASSWORD=p
  -e DRAGONFLY_HOST=127.0.0.1 -e DRAGONFLY_PORT=26380 -e NATS_URL=nats://127.0.0.1:24222
  -e OPENAI_API_KEY=scripted -e "OPENAI_BASE_URL=$model" -e PORT=28080 -e TOOL_SCRIPTS=off)
run() { docker run --rm -i "${restricted[@]}" "${environment[@]}" "$image" "$@"; }

echo "--- init container"; run /app/scripts/ci/run-migrations.sh | tail -1
echo "--- provisioning"; run worker provision-nats | grep -o '"change":"[^"]*"'
echo "--- restricted"
run bash -c 'echo "uid $(id -u), $(grep CapEff /proc/self/status | tr -d "\n"), $(touch /app/x 2>&1 | tail -1)"'

begun=$(date +%s%N)
docker run -d --name "$name-worker" "${restricted[@]}" "${environment[@]}" "$image" >/dev/null
until curl -fs -o /dev/null http://127.0.0.1:28080/ready; do sleep 0.01; done
echo "--- worker: ready $((($(date +%s%N) - begun) / 1000000)) ms after docker run"
echo "--- doctor"; run worker doctor || true
echo "--- a job"
sed 's/"job_id": *"[^"]*"/"job_id": "image-1"/' "${JOB:-deploy/image/job.json}" | run worker publish -
run worker watch image-1 2>&1 | tail -6
curl -fs http://127.0.0.1:28080/state/image-1 | head -c 300; echo
echo "--- SIGTERM"
docker stop -t 30 "$name-worker" >/dev/null; echo "exit code $(docker inspect -f '{{.State.ExitCode}}' "$name-worker")"
