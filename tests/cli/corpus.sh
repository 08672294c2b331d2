# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The fuzzers over their corpora; the golden capsules; the second reader.

case_fuzzers_over_their_corpora() {
	local f what n=0
	for f in "$O"/asan/tests/fuzz/fuzz_*; do
		case $f in *.[od]) continue ;; esac
		[ -x "$f" ] || continue
		what=${f##*/fuzz_}
		expect_status 0 "$f" "$top/tests/fuzz/corpus/$what" "$top/tests/golden/good" "$top/tests/golden/bad"
		echo "$what: $(cat "$T/out")"
		n=$((n + 1))
	done
	[ $n -gt 0 ] || fail "there are no fuzzers"
}

case_golden_good() {
	local f n=0
	for f in "$top"/tests/golden/good/*.cap; do
		expect_status 0 "$ASAN_CAPSULE" show "$f"
		expect_status 0 "$ASAN_CAPSULE" show --events "$f"
		expect_status 0 "$ASAN_CAPSULE" show --events --json "$f"
		python3 -c 'import json, sys
for line in open(sys.argv[1]): json.loads(line)' "$T/out" || fail "${f##*/}: not JSON"
		n=$((n + 1))
	done
	[ $n -gt 0 ] || fail "there are no golden capsules"
}

case_golden_bad() {
	local f n=0
	for f in "$top"/tests/golden/bad/*.cap; do
		expect_status 3 "$ASAN_CAPSULE" replay "$f"
		one_line "capsule replay: "
		n=$((n + 1))
	done
	[ $n -gt 0 ] || fail "there are no bad golden capsules"
}

# same_decoding FILE: the second reader prints what `show --events --json` prints
same_decoding() {
	"$CAPSULE" show --events --json "$1" >"$T/ours" || fail "show of ${1##*/}"
	node "$top/tests/reader/read.mjs" "$1" >"$T/theirs" 2>"$T/err" || fail "the second reader on ${1##*/}: $(head -c 500 "$T/err")"
	[ -s "$T/ours" ] || fail "${1##*/} has no events"
	cmp "$T/ours" "$T/theirs" || { diff "$T/ours" "$T/theirs" | cut -c 1-300 | head -n 6; fail "${1##*/} is decoded differently"; }
}

case_second_reader() {
	needs node
	[ -d "$top/tests/reader/node_modules" ] || skip "npm could not fetch what tests/reader needs"
	local f
	for f in every-event blobs image hard-link attributes; do same_decoding "$top"/tests/golden/good/v1-$f.cap; done
	for f in "$top"/tests/golden/bad/*.cap; do
		expect_status 3 node "$top/tests/reader/read.mjs" "$f"
	done
	if [ "$(id -u)" = 0 ]; then
		mkdir "$T/data" && head -c 600000 /dev/urandom >"$T/data/big"
		record real sh -c "cat $T/data/big; date; cat </dev/urandom | head -c 400000; echo new >$T/data/new"
		same_decoding "$T/real.cap"
	fi
}
