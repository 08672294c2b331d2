# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# capsule watch while everything goes wrong for it; `make soak` has ten minutes of the same.

case_watch_chaos() {
	own_run
	needs nginx bpftool
	needs_recording
	python3 "$top/tests/chaos.py" "$CAPSULE" "$T" 10 "${CHAOS_SEED:-}" >"$T/chaos.out" 2>&1 || fail "$(cat "$T/chaos.out" "$T/watch.log")"
	cat "$T/chaos.out"
}
