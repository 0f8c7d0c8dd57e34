#!/bin/sh
# The stages of `make check`, in order, each with the time it took; the first that fails ends it.
bin=$1
shift

stage() {
    name=$1
    shift
    begun=$(date +%s)
    echo "== $name"
    "$@" || { echo "== $name failed after $(($(date +%s) - begun)) s"; exit 1; }
    echo "== $name took $(($(date +%s) - begun)) s"
}

stage format "$bin/ruff" format --check "$@"
stage lint "$bin/ruff" check "$@"
stage types "$bin/mypy"
stage docs "${MAKE:-make}" docs
stage tests "${MAKE:-make}" test
