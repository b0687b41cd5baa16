# What one can do here; `make help` prints it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Everything that the commands keep (kernels, images, machines, the emulated host) lies in the project's folder.
export SWIFTLET_HOME ?= $(CURDIR)/build/home
SWIFTLET := $(CURDIR)/build/bin/swiftlet

.PHONY: help run test test-all check bench fuzz setup build kernel image image-python clean

help: ## Print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: kernel image ## Set everything up and run a program in a microVM
	@$(SWIFTLET) run --rm busybox echo "Hello from a microVM"

test: kernel image image-python ## Set everything up and run the tests
	@Scripts/setup-guest-tests > /dev/null
	@Scripts/test

test-all: kernel image image-python ## The same, with those that take long and seldom find more
	@Scripts/setup-guest-tests > /dev/null
	@Scripts/test --all

check: setup ## Format, layers, imports, unsafe code, hot functions
	Scripts/check

bench: kernel image ## Measure every promised figure, side by side with its peers
	Scripts/bench

fuzz: setup ## Fuzz each parser of foreign bytes for a while (SECONDS_EACH=60)
	Scripts/fuzz

setup: ## Install the Debian packages that the project needs
	@Scripts/setup

build: setup ## Build the command line, the monitor and the guest agent into build/
	@Scripts/build

kernel: build ## Have both guest kernels: the project's own and the distribution's
	@Scripts/setup-kernels

image: build ## Have the busybox image
	@$(SWIFTLET) image inspect busybox >/dev/null 2>&1 \
	    || $(SWIFTLET) image import busybox "$$(Scripts/make-busybox-image)"

image-python: kernel ## Have a Debian image with python3
	@$(SWIFTLET) image inspect python >/dev/null 2>&1 \
	    || $(SWIFTLET) image import python "$$(Scripts/make-debian-python-image)"

clean: ## Remove what was built, images and kernels included
	rm -rf build .build .build-* Monitor/.build Guest/.build Fabric/.build
