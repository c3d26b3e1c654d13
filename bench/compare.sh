#!/usr/bin/env bash
# Compares sqllock's micro-benchmarks at a commit with those of this tree: compare.sh REF
#
# Both are built first and then run in turn, so that what the machine does meanwhile happens to both. Needs no server.
# BENCH_COUNT (default 10) runs of BENCH_TIME (default 200ms) each; benchstat wants at least six.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ref=$(git rev-parse --short --verify "${1:?which commit?}^{commit}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An archive and no worktree: nothing of it stays in the repository if this is interrupted.
mkdir "$work/tree"
git archive "$ref" | tar -x -C "$work/tree"
cp sqllock/cost_test.go "$work/tree/sqllock/" # the benchmarks are this tree's, on both sides
(cd "$work/tree" && go test -c -o "$work/before" ./sqllock)
go test -c -o "$work/after" ./sqllock

run() { (cd sqllock && "$work/$1" -test.run '^$' -test.bench . -test.benchtime "${BENCH_TIME:-200ms}" >>"$work/$1.txt"); }
for ((i = 0; i < ${BENCH_COUNT:-10}; i++)); do
	run before
	run after
done
go tool -modfile=.ci/tools.mod benchstat "$ref=$work/before.txt" "this tree=$work/after.txt"
