# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Every supported row of format/syscalls.def has its program in tests/calls, and every program is recorded and replayed.

case_every_row_has_a_program() {
	"$BIN/calls" --missing >"$T/missing" || fail "rows without a CALL() in tests/calls: $(tr '\n' ' ' <"$T/missing")"
}

case_every_family_has_a_case() {
	local f
	for f in "$top"/tests/calls/*.c; do
		f=$(basename "$f" .c)
		case $f in main | peer) continue ;; esac
		grep -qE "(family|calls\"|--list) $f\>" "$top/tests/e2e/calls.sh" || fail "tests/e2e/calls.sh does not record the family $f"
	done
}

# And the check itself: with one family only, the others' rows are missing.
case_a_missing_program_is_seen() {
	needs cc
	cc -o "$T/few" "$O"/tests/calls/{main,peer,sched}.o
	! "$T/few" --missing >"$T/missing" || fail "nothing is missing"
	grep -qx read "$T/missing" || fail "read is not missing"
	! grep -qx getcpu "$T/missing" || fail "getcpu is missing"
}
