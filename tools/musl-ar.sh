#!/bin/sh
# Zig's ar, for what musl-cc.sh compiled.
exec "$ZIG" ar "$@"
