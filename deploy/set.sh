#!/usr/bin/env bash
# Writes settings.env to every line of this folder that ends in `# setting: NAME`. Prints the files it changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

script=$(mktemp)
trap 'rm -f "$script"' EXIT
while IFS='=' read -r name value; do
  [[ $name =~ ^[A-Z_]+$ ]] || continue
  escaped=$(printf '%s' "$value" | sed 's/[&|\\]/\\&/g')
  # What stands between `key: ` or `- ` and the comment is the value.
  printf 's|^(.*[:-] )[^ ].*( # setting: %s)$|\\1%s\\2|\n' "$name" "$escaped" >>"$script"
done <settings.env

grep -rlE '# setting: [A-Z_]+$' --include='*.yaml' . | sort | while read -r file; do
  changed=$(mktemp)
  sed -E -f "$script" "$file" >"$changed"
  if ! cmp -s "$file" "$changed"; then
    cat "$changed" >"$file"
    echo "set: ${file#./}"
  fi
  rm -f "$changed"
done
