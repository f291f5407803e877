#!/bin/sh
# Compiles sockaccel.bpf.c into the object named by the first argument; $CLANG and $LLVM_STRIP name other compilers.
# The object in the repository comes from Debian 12's clang 14 and libbpf-dev 1.1.
set -eu
object=$(realpath "$1")
cd "$(dirname "$0")"
# BTF names the source by its path from `.`: nothing of where this runs gets into the object.
"${CLANG:-clang}" --target=bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -Wall -Wextra -Werror \
    -I"/usr/include/$(uname -m)-linux-gnu" -c sockaccel.bpf.c -o "$object"
"${LLVM_STRIP:-llvm-strip}" --strip-debug "$object"
