# `make help` lists the targets. Everything that is checked is checked by
# `make check`, which is what .ci/run calls.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# Inputs for each target. A count and no time: when its time is up, Go 1.26 may
# call that a failure (go.dev/issue/75804).
FUZZTIME ?= 20000x
SEEDS ?= 10000
# Flags for the benchmarks, such as BENCH='-rounds 5 -data-dir /mnt/nvme'.
BENCH ?=
# Flags for the tests of Kubernetes; KUBERNETES=-short leaves out its watch cache.
KUBERNETES ?=
# Flags for the test of kube-apiserver, such as APISERVER='-objects 10000 -etcd /usr/bin/etcd'.
APISERVER ?=

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/muster
	$(GO) build -o bin/muster ./cmd/muster

.PHONY: demo
demo: ## run a cluster of three in this terminal
	$(GO) run ./cmd/muster demo

.PHONY: test
test: ## run all tests
	$(GO) test ./...

# The tests of processes come first: they wait most of the time, and take longest.
.PHONY: race
race: ## run all tests under the race detector
	$(GO) test -race -timeout 30m ./test/process ./...

# Kubernetes' libraries are built with -trimpath wherever they are needed, so that
# they are built once (see test/etcd/kubernetes).
.PHONY: vet
vet: ## go vet, here, in bench/ and in test/etcd/
	$(GO) vet ./...
	cd bench && $(GO) vet ./...
	cd test/etcd && $(GO) vet ./...
	cd test/etcd/kubernetes && GOFLAGS=-trimpath $(GO) vet ./...

.PHONY: lint
lint: bin/golangci-lint ## run the linters of .golangci.yml, here, in bench/ and in test/etcd/
	bin/golangci-lint run ./...
	cd bench && ../bin/golangci-lint run --config ../.golangci.yml ./...
	cd test/etcd && ../../bin/golangci-lint run --config ../../.golangci.yml ./...
	cd test/etcd/kubernetes && GOFLAGS=-trimpath ../../../bin/golangci-lint run --config ../../../.golangci.yml ./...

# The linter is pinned in a module of its own, so that its dependencies stay
# out of ours. Building it takes some three minutes on two cores, once.
bin/golangci-lint: tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: crash
crash: ## log, identity and snapshots on the crash disk, counted: images, faults, bit flips (a part of `make test`)
	@$(GO) test -count=1 -v -run 'Crash|EveryOperationFailsOnce|BitFlips' ./internal/raftlog ./internal/datadir ./internal/snapshot | awk -f test/crash.awk

.PHONY: mutants
mutants: ## plant each bug of test/mutants and see every test that is to find it find it
	$(GO) run ./test/mutants -all

.PHONY: mutants-fast
mutants-fast: ## a dozen of the mutants, each until the first test has found it
	$(GO) run ./test/mutants -fast

.PHONY: sim
sim: ## SEEDS (10000) simulated clusters through faults, on all cores
	nice $(GO) run ./cmd/mustersim -seeds $(SEEDS)

.PHONY: soak
soak: ## simulated clusters for an hour, from a seed that nobody ran before
	$(GO) run ./cmd/mustersim -for 1h -first $$(date +%s)

.PHONY: fuzz
fuzz: ## fuzz every target with FUZZTIME inputs (20000x)
	@grep -rEl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		dir=$$(dirname "$$file"); \
		grep -oE '^func Fuzz[A-Za-z0-9_]*' "$$file" | cut -c6- | while read -r target; do \
			echo "fuzz $$dir $$target"; \
			(cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . </dev/null); \
		done; \
	done

.PHONY: explore
explore: ## visit all states that a few forming nodes can come to, some 80 million (5 minutes of CPU time)
	nice $(GO) test ./internal/formation -run 'TestExplore|TestReductions' -explore -v -count 1 -timeout 30m

.PHONY: bench-test
bench-test: ## build and test the benchmarks' own code
	cd bench && $(GO) build ./... && $(GO) test ./...

.PHONY: compat
compat: ## hold muster to a real etcd: the tests of test/etcd
	cd test/etcd && $(GO) test -count 1 -p 1 -timeout 30m ./...

.PHONY: compat-kubernetes
compat-kubernetes: ## the tests of Kubernetes' storage layer on muster (some five minutes of CPU time to compile, once)
	cd test/etcd/kubernetes && $(GO) test -count 1 -timeout 40m . $(KUBERNETES)

# Vetted here and not by `make vet`, for it takes Kubernetes' clients to do so.
.PHONY: compat-apiserver
compat-apiserver: ## a whole kube-apiserver on three members, some of them killed (some seven minutes of CPU time to compile, once)
	cd test/etcd/apiserver && $(GO) vet -trimpath . && $(GO) test -trimpath -count 1 -timeout 60m -v . $(APISERVER)

# Make before 4.0, such as that of macOS, doesn't know it.
IN_ONE_PIECE := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# Last come the tests that mostly wait for processes, beside what computes on all
# cores and gives way to them (nice); what each prints comes in one piece.
.PHONY: check
check: ## everything that must hold: build, vet, race tests (with floors and docs), crash disk, simulator, explorer, mutants, etcd, lint, short fuzz
	$(MAKE) --no-print-directory build
	$(MAKE) --no-print-directory vet
	$(MAKE) --no-print-directory race
	$(MAKE) --no-print-directory crash
	$(MAKE) --no-print-directory mutants-fast
	$(MAKE) --no-print-directory bench-test
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory fuzz
	$(MAKE) --no-print-directory -j3 $(IN_ONE_PIECE) compat sim explore

.PHONY: bench-etcd
bench-etcd: ## compare the server with etcd (BENCH='-only reads,watch …'; -h tells more)
	cd bench && $(GO) run ./etcd $(BENCH)

.PHONY: bench-lib
bench-lib: ## compare the library with hashicorp/raft
	cd bench && $(GO) run ./lib $(BENCH)

.PHONY: bench-scale
bench-scale: ## one member with much data: restart, memory, streams, deletes (BENCH='-keys 20000000 …')
	cd bench && $(GO) run ./scale $(BENCH)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
