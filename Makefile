# The front of the project; the work is done by the scripts in .ci/.
.PHONY: help demo build test test-full test-packages test-peers fuzz soak install wheel npm bench header fmt clean

PREFIX ?= /usr/local
AREA ?=
SECONDS ?= 60
TARGETS ?=

help:
	@echo 'make demo            set up inside this folder, build everything, run the tour in four languages'
	@echo 'make test            every suite;  make test SUITES="rust c" runs some: lint rust examples c python node types soak'
	@echo 'make test-full       every suite with full counts, one to two hours'
	@echo 'make fuzz            looks for input of a hostile peer that breaks something: SECONDS=60 each TARGETS="frames json layout node_lines"'
	@echo 'make soak            children of every kind in one host, killed, stopped and forgotten all the time: SECONDS=60'
	@echo 'make build           the libraries, the native modules and the examples'
	@echo 'make install PREFIX=/usr/local [DESTDIR=…]   header, libraries, pkg-config file'
	@echo 'make wheel           the Python wheel, into target/wheels'
	@echo 'make npm             the npm package, into target/npm'
	@echo 'make test-packages   install, wheel and npm package, each used from a clean place'
	@echo 'make test-peers      programs and libraries written for subprocess and child_process, with the module replaced (needs the registries)'
	@echo 'make bench [AREA=A]  side by side with the peers, into docs/benchmarks.md'
	@echo 'make header          write include/procs.h again after a change of ffi/'
	@echo 'make fmt             format the Rust code'
	@echo 'make clean           remove what was built and set up here'

demo:
	@.ci/demo.sh

build:
	@.ci/build.sh
	@.ci/compile-examples.sh

test:
	@.ci/test.sh $(SUITES)

test-full:
	@PROCS_TEST_FULL=1 .ci/test.sh $(SUITES)

fuzz:
	@.ci/fuzz.sh $(SECONDS) $(TARGETS)

soak: build
	@.ci/test-soak.sh $(SECONDS)

test-packages:
	@tests/packages.sh

test-peers: build
	@.ci/test-peers.sh
	@.ci/test-peers-node.sh

install:
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' .ci/install.sh

wheel:
	@.ci/wheel.sh

npm:
	@.ci/npm.sh

bench:
	@.ci/bench.sh $(AREA)

header:
	@.ci/header.sh

fmt:
	@cargo fmt --all

clean:
	@.ci/clean.sh
