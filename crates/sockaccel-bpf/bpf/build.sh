#!/bin/sh
# Compiles sockaccel.bpf.c into the object named by the first argument; $CLANG and $LLVM_STRIP name other compilers.
# The object in the repository comes from Debian 12's clang 14 and libbpf-dev 1.1.
set -eu
object=$(realpath "$1")
cd "$(dirname "$0")"
# Read from standard input, so that BTF neither names a path of where this runs nor holds the source's lines.
"${CLANG:-clang}" --target=bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -Wall -Wextra -Werror \
    -I. -I"/usr/include/$(uname -m)-linux-gnu" -x c -c - -o "$object" <sockaccel.bpf.c
# Loaders do not read how a linker would join BTF with that of other objects.
"${LLVM_STRIP:-llvm-strip}" --strip-debug --remove-section=.rel.BTF --remove-section=.rel.BTF.ext \
    --remove-section=.llvm_addrsig "$object"
