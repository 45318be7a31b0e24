#!/usr/bin/env bash
# Tasks 4.6 to 4.14 of docs/deploy.md against a cluster: a line for each check, exit code 1 if one failed.
# Needs kubectl with a context, and curl. KUBECTL, NAMESPACE, TENANT and NATS_POD may name others.
set -uo pipefail

KUBECTL=${KUBECTL:-kubectl}
NAMESPACE=${NAMESPACE:-intelligence-deepagents}
TENANT=${TENANT:-bizmatters-workloads}
PORT=${PORT:-18080}
good=0 bad=0

k() { "$KUBECTL" "$@" 2>/dev/null; }
pass() { good=$((good + 1)); printf 'ok    %-5s %s\n' "$1" "$2"; }
fail() { bad=$((bad + 1)); printf 'FAIL  %-5s %s\n' "$1" "$2"; }
# equal TASK WHAT EXPECTED FOUND
equal() { if [ "$4" = "$3" ]; then pass "$1" "$2: $4"; else fail "$1" "$2: expected \`$3\`, found \`${4:-nothing}\`"; fi; }
# exists TASK WHAT KIND NAME [NAMESPACE]
exists() {
  if k get "$3" "$4" -n "${5:-$NAMESPACE}" -o name >/dev/null; then pass "$1" "$2 exists"; else fail "$1" "$2 is missing"; fi
}
path() { k get "$1" "$2" -n "$3" -o "jsonpath=$4"; }

# 4.6 ApplicationSet and Application
exists 4.6 "ApplicationSet tenant-applications" applicationset tenant-applications argocd
equal 4.6 "Application $TENANT, sync" Synced "$(path application "$TENANT" argocd '{.status.sync.status}')"
equal 4.6 "Application $TENANT, health" Healthy "$(path application "$TENANT" argocd '{.status.health.status}')"

# 4.7 namespace
equal 4.7 "namespace label layer" intelligence "$(k get namespace "$NAMESPACE" -o 'jsonpath={.metadata.labels.layer}')"
equal 4.7 "namespace label category" deepagents "$(k get namespace "$NAMESPACE" -o 'jsonpath={.metadata.labels.category}')"

# 4.8 secrets: two from External Secrets, two from the claims. The overlay legacy-secrets has the names of the platform's task list for these.
ready='{.status.conditions[?(@.type=="Ready")].status}'
for name in ghcr-pull-secret agent-executor-llm-keys; do
  equal 4.8 "ExternalSecret $name ready" True "$(path externalsecret "$name" "$NAMESPACE" "$ready")"
  exists 4.8 "Secret $name" secret "$name"
done
for pair in agent-executor-db-conn:agent-executor-postgres agent-executor-cache-conn:agent-executor-dragonfly; do
  if k get secret "${pair%%:*}" -n "$NAMESPACE" -o name >/dev/null; then pass 4.8 "Secret ${pair%%:*} exists"
  elif k get secret "${pair##*:}" -n "$NAMESPACE" -o name >/dev/null; then pass 4.8 "Secret ${pair##*:} exists"
  else fail 4.8 "neither Secret ${pair%%:*} nor ${pair##*:} exists"; fi
done

# 4.9 streams: the Job looks at what it made before it succeeds
equal 4.9 "Job create-agent-execution-stream succeeded" 1 \
  "$(path job create-agent-execution-stream "$NAMESPACE" '{.status.succeeded}')"
said=$(k logs -n "$NAMESPACE" job/create-agent-execution-stream)
for what in AGENT_EXECUTION AGENT_STATUS agent-executor-workers; do
  case $said in
    *"$what"*) pass 4.9 "the Job's log names $what" ;;
    *) fail 4.9 "the Job's log does not name $what" ;;
  esac
done

# 4.10 Deployment
deployment() { path deployment agent-executor "$NAMESPACE" "$1"; }
pod='{.spec.template.spec'
equal 4.10 "init container" run-migrations "$(deployment "$pod.initContainers[0].name}")"
equal 4.10 "container" agent-executor "$(deployment "$pod.containers[0].name}")"
image=$(deployment "$pod.containers[0].image}")
case $image in
  "" | *:latest) fail 4.10 "image: \`${image:-nothing}\` is not a fixed tag" ;;
  *) pass 4.10 "image: $image" ;;
esac
equal 4.10 "init container's image" "$image" "$(deployment "$pod.initContainers[0].image}")"
equal 4.10 "requests" "500m 1Gi" \
  "$(deployment "$pod.containers[0].resources.requests.cpu}") $(deployment "$pod.containers[0].resources.requests.memory}")"
equal 4.10 "limits" "2 4Gi" \
  "$(deployment "$pod.containers[0].resources.limits.cpu}") $(deployment "$pod.containers[0].resources.limits.memory}")"
equal 4.10 "imagePullSecrets" ghcr-pull-secret "$(deployment "$pod.imagePullSecrets[0].name}")"

# 4.11 Service
equal 4.11 "Service type" ClusterIP "$(path service agent-executor "$NAMESPACE" '{.spec.type}')"
equal 4.11 "Service port" 8080 "$(path service agent-executor "$NAMESPACE" '{.spec.ports[0].port}')"

# 4.12 ScaledObject
scaler() { path scaledobject agent-executor-scaler "$NAMESPACE" "$1"; }
equal 4.12 "trigger type" nats-jetstream "$(scaler '{.spec.triggers[0].type}')"
equal 4.12 "trigger stream" AGENT_EXECUTION "$(scaler '{.spec.triggers[0].metadata.stream}')"
equal 4.12 "trigger consumer" agent-executor-workers "$(scaler '{.spec.triggers[0].metadata.consumer}')"
equal 4.12 "ScaledObject ready" True "$(scaler "$ready")"

# 4.13 pods
name=$(k get pods -n "$NAMESPACE" -l app=agent-executor -o 'jsonpath={.items[0].metadata.name}')
equal 4.13 "pod phase" Running "$(k get pods -n "$NAMESPACE" -l app=agent-executor -o 'jsonpath={.items[0].status.phase}')"
case $(k logs -n "$NAMESPACE" "$name" -c run-migrations) in
  *migrations_applied*) pass 4.13 "migrations completed" ;;
  *) fail 4.13 "the init container's log holds no migrations_applied" ;;
esac
log=$(k logs -n "$NAMESPACE" "$name" -c agent-executor)
for event in agent_executor_service_starting nats_connected; do
  case $log in
    *"$event"*) pass 4.13 "log: $event" ;;
    *) fail 4.13 "the log holds no $event" ;;
  esac
done
case $log in
  *'"level":"error"'*) fail 4.13 "the log holds errors: kubectl logs -n $NAMESPACE $name | grep '\"level\":\"error\"'" ;;
  *) pass 4.13 "no error in the log" ;;
esac

# 4.14 endpoints, through a port-forward that ends with this script
"$KUBECTL" port-forward -n "$NAMESPACE" "pod/$name" "$PORT:8080" >/dev/null 2>&1 &
forward=$!
trap 'kill "$forward" 2>/dev/null' EXIT
for _ in $(seq 50); do curl -s -o /dev/null "http://127.0.0.1:$PORT/health" && break; sleep 0.2; done
for route in health ready; do
  equal 4.14 "GET /$route" 200 "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/$route")"
done
case $(curl -s "http://127.0.0.1:$PORT/metrics") in
  *nats_messages_processed_total*) pass 4.14 "GET /metrics names nats_messages_processed_total" ;;
  *) fail 4.14 "GET /metrics does not name nats_messages_processed_total" ;;
esac

echo "$good passed, $bad failed"
[ "$bad" -eq 0 ]
