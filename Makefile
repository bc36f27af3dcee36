# SPDX-License-Identifier: Apache-2.0
.PHONY: all run build test lint bench install
all: build
run build test lint bench install: ; @./dev $@
