#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The table as a page of Markdown, on stdout: number, call, fate, reason.
set -eu
cd "$(dirname "$0")/.."
cat <<'END'
# System calls: what becomes of each

Made from format/syscalls.def by docs/syscalls.sh; the fates are those of enum sc_fate in format/sysdesc.h.

| number | call | fate | why |
|---:|---|---|---|
END
# shellcheck disable=SC2016
{
	# The words but not their meaning: FD(fd) is written as its name.
	for w in $(sed -n 's/^#define \([A-Z_]*\)(n[,)].*/\1/p' format/sysdesc_words.h); do echo "#define $w(n, ...) n"; done
	echo '#define SYSCALL(nr, name, fate, why, ...) ROW nr|`name(__VA_ARGS__)`|fate|why'
	sed 's|/\*.*\*/||' format/syscalls.def
} | ${CC:-cc} -E -P -x c - | tr '\n' ' ' | sed 's/ROW /\n/g' | grep '^[0-9]' | sort -n |
	sed 's/|SC_\([A-Z]*\)|/|\L\1\E|/; s/`\([^`]*\)`/\n\1\n/; :a; s/\n\([^\n]*\) *( */\n\1(/; s/ *\([,)]\)/\1/g; s/\n\([^\n]*\)\n/`\1`/
		s/"\(.*\)" *$/\1/; s/|/ | /g; s/^/| /; s/ *$/ |/'
