#!/bin/sh
# Compiles C for musl with the pinned Zig, whatever compiler and headers the machine has: what the
# `cc` crate calls for the C of `ring`. It links nothing; that does rust-lld. Cargo says in TARGET
# for which target a build script runs; Zig has no vendor in its targets' names.
set -eu
for argument; do
  shift
  case $argument in --target=*) ;; *) set -- "$@" "$argument" ;; esac
done
exec "$ZIG" cc -target "${TARGET%%-*}-linux-musl" -g0 "$@"
