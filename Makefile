# `make` alone lists the targets: the text after ## is what it shows.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO      ?= go
# The modules that are released together: their folders. Those with a go.mod of their own that aren't here are for this
# repository only.
MODULES := . adapters/gocron adapters/otel adapters/prometheus dialect dialect/mysql dialect/postgres dialect/sqlite dialect/sqlserver sqllock
APART   := bench deploy/kubernetes examples/goose examples/libraries
# Tools have requirements of their own, which a workspace doesn't allow; so they are built first.
tool     = GOWORK=off $(GO) build -modfile=.ci/tools.mod -o build/$(notdir $(1)) $(1)
ENGINES := sqlite,postgres15,postgres18,mysql,mariadb
# A package's limit, many times what it takes: a test that hangs is found, and named, after minutes (integration/servers).
TIMEOUT ?= 40m
# Tests wait as much as they compute.
PARALLEL ?= 4
FUZZTIME ?= 20s
# SQLite's engine is C that was translated to Go and works on memory of its own: the race detector finds nothing in there, and
# makes it several times slower. All other code is watched.
RACE    := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
CONTAINER_TESTS ?= ^(TestServers|TestConformance|TestImage)$$
ENGINE_TESTS    ?= ^(TestServers|TestConformance|TestCLI|TestCLIGuard|TestCLIGrants)$$

# As root the servers that the tests want are installed first; anybody else is told what is missing when tests skip.
root := $(filter 0,$(shell id -u))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# On its own SQLite file, the demo links no other engine. SQLite takes most of the first build, so it is compiled without
# debug information, and the compiler may use memory instead of time.
DEMO_BUILD = $(if $(SQLLOCK_DATABASE_URL),,-tags=sqliteonly) -gcflags=modernc.org/...=-dwarf=false -ldflags='-s -w'
.PHONY: demo
demo: ## watch locks survive a killed and a frozen process (needs nothing but Go)
	@echo 'Compiling the demo. The first time that takes half a minute, most of it for SQLite.'
	@CGO_ENABLED=0 GOGC=400 $(GO) build $(DEMO_BUILD) -o build/ledger ./examples/ledger
	@build/ledger

.PHONY: deps
deps: ## install the database servers that the tests run (root on Debian: all of them)
	./integration/deps/install.sh

.PHONY: test
test: $(if $(root),deps) ## every test, and every engine that can be had here, in minutes
	@# The package that takes by far the longest is the first to begin: the others run beside it.
	$(GO) test $(RACE) -shuffle=on -timeout=$(TIMEOUT) -parallel=$(PARALLEL) ./integration work
	cd deploy/kubernetes && GOWORK=off $(GO) test ./...
	cd examples/goose && GOWORK=off $(GO) test $(RACE) -shuffle=on ./...
	cd examples/libraries && GOWORK=off $(GO) test $(RACE) -shuffle=on ./...

.PHONY: test-all
test-all: ## every test on every engine, with what repeats for luck: longer loads, more rounds, all combinations
	SQLLOCK_TEST_LONG=1 $(MAKE) test TIMEOUT=1h

.PHONY: test-slow
test-slow: $(if $(root),deps) ## make test with 5 ms more for each flush to the disk, and four busy loops beside it (Linux)
	$(GO) run ./integration/slow -flush 5ms -busy 4 $(MAKE) test

.PHONY: test-unit
test-unit: ## the tests that need no server
	$(GO) test $(RACE) -shuffle=on $$($(GO) list work | grep -v /integration)

.PHONY: test-docker
test-docker: ## the conformance suite in containers, of images built here (root on Debian)
	SQLLOCK_TEST_REQUIRE=$(ENGINES),docker ./integration/deps/images.sh \
		$(GO) test $(RACE) -shuffle=on -timeout=$(TIMEOUT) -run '$(CONTAINER_TESTS)' ./integration

.PHONY: test-engine
test-engine: ## what each engine has to prove, in a container: ENGINE=postgres18 IMAGE=postgres:14
	$(if $(and $(ENGINE),$(IMAGE)),,$(error which one? make test-engine ENGINE=mysql IMAGE=mysql:8.4))
	SQLLOCK_TEST_PROVIDER=docker SQLLOCK_TEST_ENGINES=$(ENGINE) SQLLOCK_TEST_REQUIRE=$(ENGINE) \
		SQLLOCK_TEST_$(shell echo $(ENGINE) | tr a-z A-Z)_IMAGE=$(IMAGE) \
		$(GO) test $(RACE) -shuffle=on -timeout=$(TIMEOUT) -run '$(ENGINE_TESTS)' ./integration

PLATFORM ?= linux/$(shell $(GO) env GOARCH)
TAG      ?= sqllock:dev
OUT      ?= build/image
CERTS    := /etc/ssl/certs/ca-certificates.crt
.PHONY: image
image: image-files ## build the container image of the commands as TAG (sqllock:dev), for PLATFORM (default: this machine's)
	docker build --platform $(PLATFORM) --build-arg TARGETPLATFORM=$(PLATFORM) -t $(TAG) -f deploy/image/Dockerfile $(OUT)

.PHONY: image-files
image-files: image-certificates
	@mkdir -p $(OUT)/$(PLATFORM)
	CGO_ENABLED=0 GOOS=$(word 1,$(subst /, ,$(PLATFORM))) GOARCH=$(word 2,$(subst /, ,$(PLATFORM))) \
		$(GO) build -trimpath -ldflags='-s -w' -o $(OUT)/$(PLATFORM)/ ./cmd/sqllock ./cmd/sqllock-migrate

.PHONY: image-certificates
image-certificates:
	@[[ -s $(CERTS) ]] || { echo "$(CERTS) is missing: install ca-certificates, or give CERTS=FILE" >&2; exit 1; }
	@mkdir -p $(OUT)
	@cp -L $(CERTS) $(OUT)/ca-certificates.crt

.PHONY: screenshots
screenshots: ## take the pictures of the page in docs/images (needs Chromium)
	@mkdir -p docs/images
	SQLLOCK_TEST_REQUIRE=chromium SQLLOCK_SCREENSHOTS=$(CURDIR)/docs/images $(GO) test -count=1 -run '^TestPage$$' ./integration

.PHONY: bench
bench: $(if $(root),bench-deps) ## measure side by side with others, into bench/RESULTS.md (BENCH_ROUND=400ms, BENCH_ROUNDS=3)
	cd bench && GOWORK=off BENCH_OUT=. BENCH_COMMIT=$$(git describe --always --dirty) $(GO) test -count=1 -timeout=60m -run '^TestBench$$' -v .

.PHONY: bench-smoke
bench-smoke: ## the tests of bench itself, and a few seconds of it to see that it works
	cd bench && export GOWORK=off && $(GO) vet ./... && $(GO) test ./report && $(GO) test -count=1 -timeout=5m # so, without naming it, what it says is shown

.PHONY: bench-deps
bench-deps: ## install what bench measures on and compares with (root on Debian)
	./integration/deps/install.sh postgres15 mariadb mysql redis etcd

.PHONY: bench-compare
bench-compare: ## compare sqllock's micro-benchmarks at REF (default main) with those of this tree
	./bench/compare.sh $(or $(REF),main)

.PHONY: fmt
fmt: golangci-lint ## format the Go files
	@for module in $(MODULES) $(APART); do (cd $$module && GOWORK=off $(CURDIR)/build/golangci-lint fmt ./...); done

.PHONY: lint
lint: golangci-lint actionlint ## check the Go files and the workflows
	build/actionlint
	build/golangci-lint run $(MODULES:%=./%/...)
	@for module in $(APART); do \
		(cd $$module && GOWORK=off LOG_LEVEL=error $(CURDIR)/build/golangci-lint run ./...); done

.PHONY: golangci-lint
golangci-lint:
	@$(call tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

# It doesn't compile with the requirements of the other tools.
.PHONY: actionlint
actionlint:
	@GOBIN=$(CURDIR)/build $(GO) install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: cross
cross: ## type-check everything for Linux, macOS, Windows and FreeBSD, on amd64 and arm64
	$(GO) run ./internal/cross work

.PHONY: tidy
tidy: ## bring every go.mod and go.sum up to date
	@for module in $(filter-out .,$(MODULES)); do (cd $$module && GOWORK=off $(GO) mod tidy); done
	@# The main module has no replace lines, so that its commands can be installed: it gets them for a moment.
	@mkdir -p build && cp go.mod build/tidy.mod && cp go.sum build/tidy.sum
	@for module in $(filter-out .,$(MODULES)); do \
		$(GO) mod edit -replace=github.com/sqllock/sqllock/$$module=./$$module build/tidy.mod; done
	@GOWORK=off $(GO) mod tidy -modfile=build/tidy.mod
	@for module in $(filter-out .,$(MODULES)); do \
		$(GO) mod edit -dropreplace=github.com/sqllock/sqllock/$$module build/tidy.mod; done
	@mv build/tidy.mod go.mod && mv build/tidy.sum go.sum
	@for module in $(APART); do (cd $$module && GOWORK=off $(GO) mod tidy); done

.PHONY: test-modules
test-modules: ## vet each released module by itself, without the workspace, and run the tests of each as if it were released
	@for module in $(filter-out .,$(MODULES)); do (cd $$module && GOWORK=off $(GO) vet ./...); done
	$(GO) run ./internal/release test

.PHONY: release-check
release-check: test-modules ## test each module alone, and build what users build, as if this tree were released
	$(GO) run ./internal/release check

.PHONY: release
release: test-modules ## check, commit and tag all modules as VERSION
	$(GO) run ./internal/release $(or $(VERSION),$(error which one? make release VERSION=v1.2.3))

GORELEASER := github.com/goreleaser/goreleaser/v2@v2.17.0
.PHONY: release-dry-run
release-dry-run: ## build what `make release-publish` would publish, but the image, into build/dist (many minutes)
	$(GO) run $(GORELEASER) check
	$(GO) run $(GORELEASER) release --snapshot --clean --skip=docker

.PHONY: release-publish
release-publish: ## build the commands and the image of the tag that is checked out, and publish them (in CI)
	$(GO) run $(GORELEASER) release --clean

.PHONY: shape
shape: ## figures about the form of the code, with the goal for each (fails if one got worse than its limit)
	@$(GO) run ./internal/shape

.PHONY: vuln
vuln: govulncheck ## look for known vulnerabilities in what is used
	build/govulncheck work

.PHONY: govulncheck
govulncheck:
	@$(call tool,golang.org/x/vuln/cmd/govulncheck)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 20s)
	@grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r -n 1 dirname | sort -u | while read -r dir; do \
		grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | awk '{ print $$2 }' | while read -r target; do \
			echo "== $$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime=$(FUZZTIME) "$$dir" </dev/null; \
		done; \
	done

SIMULATE_FOR ?= 1m
.PHONY: simulate
simulate: ## attack the core in simulated time for SIMULATE_FOR (default 1m), from SEED; or a MUTANT of it
	$(GO) run ./internal/simulate -for $(SIMULATE_FOR) $(if $(SEED),-seed $(SEED)) $(if $(MUTANT),-mutant $(MUTANT))

.PHONY: simulate-mutants
simulate-mutants: ## attack each mutant of the core for up to SIMULATE_FOR, and print which are detected
	$(GO) run ./internal/simulate -mutants -for $(SIMULATE_FOR)

SOAK ?= 10m
.PHONY: soak
soak: $(if $(root),deps) ## work under all locks for SOAK (default 10m) on each engine, with faults, and watch what grows; into build/soak.md
	SQLLOCK_TEST_LONG=1 SQLLOCK_SOAK=$(SOAK) SQLLOCK_SOAK_REPORT=$(CURDIR)/build/soak.md \
		$(GO) test -count=1 -timeout=0 -run '^TestSoak$$' -v ./integration

COVERED := github.com/sqllock/sqllock/sqllock/...,github.com/sqllock/sqllock/dialect/...,github.com/sqllock/sqllock/migrations/...
.PHONY: cover
cover: ## the share of statements that tests reach, by package (build/cover.html for the lines)
	@mkdir -p build
	$(GO) test -coverpkg=$(COVERED) -coverprofile=build/cover.out -timeout=$(TIMEOUT) work
	$(GO) tool cover -html=build/cover.out -o build/cover.html
	@awk 'NR > 1 { size[$$1] = $$2; if ($$3) hit[$$1] = $$2 } \
		END { for (b in size) { p = b; sub("/[^/]*:.*", "", p); all[p] += size[b]; got[p] += hit[b] } \
			for (p in all) printf "%5.1f%%  %s\n", 100 * got[p] / all[p], p }' build/cover.out | sort -k 2
