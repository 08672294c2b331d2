# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Other kernels, and what this machine's processor can't do: tests/vm.sh boots Debian's own.

limit_debians=900
case_debians() {
	needs qemu-system-x86_64 cpio depmod busybox apt-cache
	local rc=0
	REPLAYS=1 LIMIT=400 VM_SECONDS=840 "$top/tests/vm.sh" "$top/tests/run" -j 2 curl/two_urls time/cycle_counter time/limits_on_another \
		trees/sqlite_writes watch/watch_request >"$T/vm.out" 2>&1 || rc=$?
	[ $rc -ne 77 ] || { cat "$T/vm.out"; exit 77; }
	[ $rc -eq 0 ] || fail "$(cat "$T/vm.out")"
	! grep -q '^skip' "$T/vm.out" || fail "$(cat "$T/vm.out")"
	grep '^ok' "$T/vm.out"
}
