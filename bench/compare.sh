#!/usr/bin/env bash
# Compares sqllock's micro-benchmarks at a commit with those of this tree: compare.sh REF
#
# Builds both first and then runs them in turn, so that a disturbance of the machine affects both. It needs no server.
# It does BENCH_COUNT runs (default 10) of BENCH_TIME (default 200ms) each. benchstat needs at least six runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ref=$(git rev-parse --short --verify "${1:?which commit?}^{commit}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An archive, not a worktree: nothing is left in the repository if this script is interrupted.
mkdir "$work/tree"
git archive "$ref" | tar -x -C "$work/tree"
cp sqllock/cost_test.go "$work/tree/sqllock/" # both sides run this tree's benchmarks
(cd "$work/tree" && go test -c -o "$work/before" ./sqllock) # with its own go.work, or without one
go test -c -o "$work/after" ./sqllock

run() { (cd sqllock && "$work/$1" -test.run '^$' -test.bench . -test.benchtime "${BENCH_TIME:-200ms}" >>"$work/$1.txt"); }
for ((i = 0; i < ${BENCH_COUNT:-10}; i++)); do
	run before
	run after
done
GOWORK=off go tool -modfile=.ci/tools.mod benchstat "$ref=$work/before.txt" "this tree=$work/after.txt"
