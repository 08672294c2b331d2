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
