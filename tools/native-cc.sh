#!/bin/sh
# Links the native library with the pinned Zig against an old glibc, whatever linker and C library
# the machine has: what rustc calls as its linker. NATIVE_TARGET is Zig's name of the target. Rust
# asks for GCC's unwinder, which images of proxies need not have; LLVM's is linked into the library
# instead. Which linker of its own Rust would take is not asked.
set -eu
for argument; do
  shift
  case $argument in
  -lgcc_s) set -- "$@" -lunwind ;;
  -fuse-ld=* | -B*gcc-ld | -m64) ;;
  *) set -- "$@" "$argument" ;;
  esac
done
exec "$ZIG" cc -target "$NATIVE_TARGET" "$@"
