# `make` alone lists the targets: the text after ## is what it shows.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO      ?= go
TOOL    := $(GO) tool -modfile=.ci/tools.mod
ENGINES := sqlite,postgres15,postgres18,mysql,mariadb
TIMEOUT ?= 20m
# Tests wait as much as they compute: more of them at a time than there are cores.
PARALLEL ?= 3
FUZZTIME ?= 20s
CONTAINER_TESTS ?= ^(TestServers|TestConformance)$$

# As root the servers that the tests want are installed first; anybody else is told what is missing when tests skip.
root := $(filter 0,$(shell id -u))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## watch locks survive a killed and a frozen process (needs nothing but Go)
	$(GO) run ./examples/ledger

.PHONY: deps
deps: ## install the database servers that the tests run (root on Debian: all of them)
	./integration/deps/install.sh

.PHONY: test
test: $(if $(root),deps) ## every test, on every engine that can be had here
	$(GO) test -race -shuffle=on -timeout=$(TIMEOUT) -parallel=$(PARALLEL) ./...
	cd examples/goose && $(GO) test -race -shuffle=on ./...
	cd adapters/gocron && $(GO) test -race -shuffle=on ./...

.PHONY: test-unit
test-unit: ## the tests that need no server
	$(GO) test -race -shuffle=on $$($(GO) list ./... | grep -v /integration)

.PHONY: test-docker
test-docker: ## the conformance suite in containers, of images built here (root on Debian)
	SQLLOCK_TEST_REQUIRE=$(ENGINES) ./integration/deps/images.sh \
		$(GO) test -race -shuffle=on -timeout=$(TIMEOUT) -run '$(CONTAINER_TESTS)' ./integration

.PHONY: bench
bench: $(if $(root),bench-deps) ## measure side by side with others, into bench/RESULTS.md (BENCH_ROUND=400ms, BENCH_ROUNDS=3)
	cd bench && BENCH_OUT=. BENCH_COMMIT=$$(git describe --always --dirty) $(GO) test -count=1 -timeout=60m -run '^TestBench$$' -v .

.PHONY: bench-smoke
bench-smoke: ## the tests of bench itself, and a few seconds of it to see that it works
	cd bench && $(GO) vet ./... && $(GO) test ./report && $(GO) test -count=1 -timeout=5m # so, without naming it, what it says is shown

.PHONY: bench-deps
bench-deps: ## install what bench measures on and compares with (root on Debian)
	./integration/deps/install.sh postgres15 mariadb mysql redis etcd

.PHONY: bench-compare
bench-compare: ## compare sqllock's micro-benchmarks at REF (default main) with those of this tree
	./bench/compare.sh $(or $(REF),main)

.PHONY: fmt
fmt: ## format the Go files
	$(TOOL) golangci-lint fmt ./...
	@# It goes into modules of their own too, where it takes their packages for strangers: each once more, by itself.
	cd bench && $(GO) tool -modfile=../.ci/tools.mod golangci-lint fmt ./...
	cd examples/goose && $(GO) tool -modfile=../../.ci/tools.mod golangci-lint fmt ./...
	cd adapters/gocron && $(GO) tool -modfile=../../.ci/tools.mod golangci-lint fmt ./...

.PHONY: lint
lint: ## check the Go files
	$(TOOL) golangci-lint run ./...
	cd examples/goose && LOG_LEVEL=error $(GO) tool -modfile=../../.ci/tools.mod golangci-lint run ./...
	cd adapters/gocron && LOG_LEVEL=error $(GO) tool -modfile=../../.ci/tools.mod golangci-lint run ./...
	cd bench && LOG_LEVEL=error $(GO) tool -modfile=../.ci/tools.mod golangci-lint run ./...

.PHONY: vuln
vuln: ## look for known vulnerabilities in what is used
	$(TOOL) govulncheck ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 20s)
	@grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r -n 1 dirname | sort -u | while read -r dir; do \
		grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | awk '{ print $$2 }' | while read -r target; do \
			echo "== $$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime=$(FUZZTIME) "$$dir" </dev/null; \
		done; \
	done

.PHONY: cover
cover: ## the share of statements that tests reach, by package (build/cover.html for the lines)
	@mkdir -p build
	$(GO) test -coverpkg=./sqllock/...,./dialect/...,./migrations/... -coverprofile=build/cover.out -timeout=$(TIMEOUT) ./...
	$(GO) tool cover -html=build/cover.out -o build/cover.html
	@awk 'NR > 1 { size[$$1] = $$2; if ($$3) hit[$$1] = $$2 } \
		END { for (b in size) { p = b; sub("/[^/]*:.*", "", p); all[p] += size[b]; got[p] += hit[b] } \
			for (p in all) printf "%5.1f%%  %s\n", 100 * got[p] / all[p], p }' build/cover.out | sort -k 2
