# The front door. `make run` answers a prompt, `make test` builds and passes the tests.
# Everything else is built by CMake below build/; see CMakePresets.json.

PRESET ?= release
JOBS   ?= $(shell nproc)
BUILD  := build/$(PRESET)
FUZZ_SECONDS ?= 600
SCHEDULES ?= 1000000
# Tests that a run leaves out (a regular expression); see .ci/run.
WITHOUT ?=
PROMPT ?= Explain in one paragraph how rivers form.

.DEFAULT_GOAL := help
.PHONY: help deps configure build run test test-long fuzz schedules planted bench bench-peers format format-check tidy install clean

help:            ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

deps:            ## install the Debian packages that the build needs
	@tools/install-deps

configure: deps
	@cmake --preset $(PRESET) > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }

build: configure ## build the program: build/release/headrace
	@cmake --build $(BUILD) -j $(JOBS) --target headrace

run: build       ## fetch the default model and answer PROMPT
	@$(BUILD)/headrace pull smollm2:135m
	@$(BUILD)/headrace run -m smollm2:135m --temp 0 -p "$(PROMPT)"

test: configure  ## build everything and run the fast tests
	@cmake --build $(BUILD) -j $(JOBS)
	@tools/check-structure
	@ctest --test-dir $(BUILD) -j $(JOBS) -L fast $(if $(WITHOUT),-E '$(WITHOUT)') --output-on-failure --no-tests=error

test-long:       ## the tests again under each sanitizer, the fuzzers, random schedules, planted bugs
	@$(MAKE) test PRESET=asan
	@$(MAKE) test PRESET=tsan
	@$(MAKE) fuzz
	@$(MAKE) schedules
	@$(MAKE) planted

schedules: configure ## SCHEDULES random schedules of requests, the books checked after every step
	@cmake --build $(BUILD) -j $(JOBS) --target random_schedules
	@tests/schedules/run $(BUILD)/tests/random_schedules $(SCHEDULES) $(JOBS)

planted: deps    ## headrace verify must find each bug of tests/verify/planted
	@tests/verify/planted_bugs.sh

fuzz:            ## FUZZ_SECONDS of every fuzzer, two at a time; findings in build/fuzz/findings
	@tools/install-deps --fuzz
	@$(MAKE) --no-print-directory configure PRESET=fuzz
	@cmake --build build/fuzz -j $(JOBS) --target fuzzers
	@tools/fuzz run $(FUZZ_SECONDS)

bench: build     ## measure this machine; see bench/README.md
	@bench/run

bench-peers:     ## build llama.cpp outside of the project and compare with it; PEERS="--quick" and the like
	@tools/install-deps --peers
	@$(MAKE) --no-print-directory configure
	@cmake --build $(BUILD) -j $(JOBS) --target headrace make_random_model bench_read_stream
	@bench/peers --build $(BUILD) $(PEERS)

format:          ## format the sources in place
	@git ls-files '*.cpp' '*.h' | xargs clang-format -i

format-check:    ## fail where clang-format would change something
	@git ls-files '*.cpp' '*.h' | xargs clang-format --dry-run --Werror

tidy: configure  ## clang-tidy over src/
	@git ls-files 'src/*.cpp' | grep -v _test.cpp | xargs -P $(JOBS) -n 4 clang-tidy --quiet -p $(BUILD)

install: build   ## copy program, man page and completion to PREFIX (default /usr/local)
	@cmake --install $(BUILD) --prefix $(or $(PREFIX),/usr/local)

clean:           ## remove everything that was built
	rm -rf build
