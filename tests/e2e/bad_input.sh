# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What is no capsule, or a damaged one: one clear line, exit 3, no crash, bounded memory.

a_capsule() {	# $T/whole.cap, with a bit of everything
	mkdir "$T/data" && head -c 300000 /dev/urandom >"$T/data/big" && echo small >"$T/data/small"
	record whole sh -c "cat $T/data/big | od | tail -n 1; cat $T/data/small; date +%N; echo new >$T/data/new"
	[ "$STATUS" -eq 0 ] || fail "status $STATUS"
}

limit_damaged=300
case_damaged() {
	a_capsule
	mkdir "$T/bad"
	python3 "$top/tests/damage.py" "$T/whole.cap" "$T/bad"
	local f n=0
	for f in "$T"/bad/*.cap; do
		refused "$f"
		n=$((n + 1))
	done
	[ $n -gt 150 ] || fail "only $n damaged capsules were tried"
	# And the whole one is not: the loop can tell one from the other.
	expect_status 0 "$ASAN_CAPSULE" show "$T/whole.cap"
	replay_once whole
	check_replay whole || fail "the whole capsule"
}

# refused FILE: replay refuses it, show refuses it or shows what there is and says that it is cut short
refused() {
	local s=0
	expect_status 3 timeout 20 "$ASAN_CAPSULE" replay "$1"
	one_line "capsule replay: "
	[ ! -s "$T/out" ] || fail "replay of ${1##*/} printed something"
	timeout 20 "$ASAN_CAPSULE" show --events "$1" >"$T/out" 2>"$T/err" || s=$?
	case $s in
	3) one_line "capsule show: " ;;
	0) case ${1##*/} in cut-*|without-frame-*) ;; *) fail "show finds nothing wrong with ${1##*/}" ;; esac
	   timeout 20 "$ASAN_CAPSULE" show "$1" >"$T/out" 2>&1 || :
	   grep -qi 'cut short' "$T/out" || fail "show does not say that ${1##*/} is cut short" ;;
	*) fail "show of ${1##*/} ended with $s: $(head -c 1000 "$T/err")" ;;
	esac
	# The address space of the plain program bounds its memory.
	(ulimit -v 400000; timeout 20 "$CAPSULE" show "$1" >/dev/null 2>"$T/err") || s=$?
	[ "$s" -le 3 ] || fail "show of ${1##*/} in 400 MB ended with $s: $(head -c 500 "$T/err")"
}

case_no_regular_file() {
	mkfifo "$T/fifo"
	mkdir "$T/dir"
	: >"$T/empty"
	local f c
	for f in "$T/fifo" "$T/dir" "$T/empty" "$T/missing" /dev/null /dev/zero /dev/urandom /proc/self/exe /proc/self/status "$T"; do
		for c in show replay; do
			expect_status 3 timeout 10 "$ASAN_CAPSULE" $c "$f"
			one_line "capsule $c: " "$f"
			[ ! -s "$T/out" ] || fail "$c $f printed something on stdout"
		done
	done
}

case_unreadable() {
	[ "$(id -u)" = 0 ] || skip "needs root to be another user"
	: >"$T/secret" && chmod 600 "$T/secret"
	expect_status 3 as_user nobody "$CAPSULE" show "$T/secret"
	one_line "$T/secret" denied
}

# Forged, with all sums right: only the name of a file is evil.
case_forged_paths() {
	local f n=0
	for f in "$top"/tests/golden/bad/*path*.cap; do
		expect_status 3 timeout 20 "$ASAN_CAPSULE" replay "$f"
		one_line "capsule replay: " path
		n=$((n + 1))
	done
	[ $n -ge 4 ] || fail "only $n forged capsules"
}

case_usage() {
	expect_status 2 "$CAPSULE" replay
	one_line "capsule replay: "
	expect_status 2 "$CAPSULE" show
	one_line "capsule show: "
	expect_status 125 "$CAPSULE" record
	one_line "capsule record: "
	expect_status 2 "$CAPSULE" replay --no-such-option x
	one_line no-such-option
	expect_status 125 "$CAPSULE" record --no-such-option x
	one_line no-such-option
	expect_status 2 "$CAPSULE" replay --runs many "$T/x"
	one_line many
	expect_status 2 "$CAPSULE" replay --runs 0 "$T/x"
	expect_status 2 "$CAPSULE" replay --bind nonsense "$T/x"
	expect_status 125 "$CAPSULE" record --ring nonsense -- true
	one_line nonsense
}
