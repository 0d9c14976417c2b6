#!/usr/bin/env bash
# fuzz.sh [TIME]: runs every fuzz target of the module, one after the other, for TIME each (30s).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | while read -r pkg; do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
    echo "== $pkg $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg"
  done
done
