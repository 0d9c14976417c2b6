# nom: see "make help".
#
# Needs Go and, for everything that boots a machine, QEMU 9.2 or later ("make qemu" installs it).

GO         ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOBUILD     = CGO_ENABLED=0 $(GO) build -trimpath
MACHINEENV  = GOOS=linux GOARCH=amd64

BIN        ?= bin
SOAKTIME   ?= 10m
FUZZTIME   ?= 30s

.DELETE_ON_ERROR:
.PHONY: all help nom system qemu run test check unit soak gotests fuzz bench clean

all: nom system ## build bin/nom and the parts of the system

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{printf "  make %-8s %s\n", $$1, $$2}'

# The go command knows what is out of date; make does not, so these always run.
nom: ## build the command
	@$(GOBUILD) -o $(BIN)/nom ./cmd/nom

# The platform and the companion are linked where no program is; the platform is entered at its own entry point because its Go
# runtime never starts.
system: ## build the parts of the system: what runs on a machine beside the programs
	@$(MACHINEENV) $(GOBUILD) -ldflags "-T 0x70001000 -E main.entry" -o $(BIN)/system/metal ./metal/platform
	@$(MACHINEENV) $(GOBUILD) -o $(BIN)/system/kernel ./kernel
	@$(MACHINEENV) $(GOBUILD) -o $(BIN)/system/root ./root
	@$(MACHINEENV) $(GOBUILD) -ldflags "-T 0x60001000" -o $(BIN)/system/uplink ./uplink

qemu: ## install QEMU, if it is missing or too old
	@scripts/install-qemu.sh

run: qemu all ## boot a machine with two demo programs
	$(BIN)/nom boot ./apps/hello ./apps/primes

test: qemu all check unit ## everything, on this computer and in QEMU

check: ## what can be said about the code without running it
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$unformatted" || { echo "run gofmt -w on:" $$unformatted; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) $$($(GO) list ./... | grep -v /metal/platform$$)
	$(GO) run $(STATICCHECK) -checks inherit,-U1000 ./metal/platform # entered from assembly, so all of it looks unused

unit: system ## the tests, of which some boot machines
	NOM_SYSTEM=$(abspath $(BIN)/system) $(GO) test -timeout 30m ./...

soak: qemu system ## mixed work on machines of 1, 2 and 4 processors, for SOAKTIME each (10m); all attacks
	NOM_SYSTEM=$(abspath $(BIN)/system) NOM_SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 0 -v -run "Soak|Hostile|DeathsInTransfer|Storms" ./test/...

gotests: qemu system ## Go's own tests in containers: all packages of which they must pass
	NOM_SYSTEM=$(abspath $(BIN)/system) NOM_GOTESTS=all $(GO) test -count=1 -timeout 1h -v -run GoPackages ./test

fuzz: ## every fuzz target, for FUZZTIME each (30s)
	@scripts/fuzz.sh $(FUZZTIME)

bench: qemu all ## what requests from the network cost, beside Linux on the same machine: table and bench/results.json
	$(GO) run ./bench -nom $(BIN)/nom $(BENCHFLAGS)

clean: ## remove what make made
	rm -rf $(BIN)
