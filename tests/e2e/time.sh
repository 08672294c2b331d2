# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Time: waits with a limit and timers take none in a replay, and end as they ended.

# took_at_most NAME MS: the last replay did.
took_at_most() {
	local ms=$(($(receipt "$1" wall_ns) / 1000000))
	[ "$ms" -le "$2" ] || fail "the replay took $ms ms"
}

case_limits() {		# of futexes and others, that strike and that do not
	record timed "$BIN/timed"
	grep -q EXIT-SUCCESS "$T/timed.out" || fail "it did not come to its end"
	replays_the_same timed
	took_at_most timed 2000		# of 2.8 s recorded; alone on the machine it is 10 ms
}

case_limits_on_another_day() {	# limits that are dates, and the machine's date is another one
	local years
	record timed "$BIN/timed"
	mv "$T/timed.cap" "$T/today.cap"
	for years in -30 30; do
		"$BIN/alter" $years "$T/today.cap" "$T/timed.cap" || fail "could not alter the capsule"
		chmod 644 "$T/timed.cap"
		REPLAYS=3 replays_the_same timed
	done
}

case_limits_in_changed_code() {	# longer than recorded: nobody waits for them
	record timed "$BIN/timed" 0.001
	replay_once timed -- "$BIN/timed" 1000
	[ "$(receipt timed ended)" = true ] || { why_not timed; fail "it did not come to its end"; }
	grep -q 'pool: 20 jobs done' "$T/timed.replay.out" && grep -q EXIT-SUCCESS "$T/timed.replay.out" || fail "$(cat "$T/timed.replay.out")"
	took_at_most timed 10000	# 3000 s by the program's clock
}

case_limits_in_real_time() {
	record timed "$BIN/timed"
	replay_once timed --speed real
	check_replay timed || fail "it is not the same"
	[ $(($(receipt timed wall_ns) / 1000000)) -ge 2500 ] || fail "it took $(receipt timed wall_ns) ns, not 2.8 s"
}

case_timers() {		# setitimer, alarm, timer_create, timerfd, and every way to wait for one
	record timers "$BIN/timers"
	grep -q EXIT-SUCCESS "$T/timers.out" || fail "it did not come to its end"
	replays_the_same timers
	took_at_most timers 3000	# of 4.4 s recorded; alone on the machine it is 0.1 s, which a busy loop takes
}

case_timers_in_changed_code() {	# not in the record, and longer than anybody waits
	record timers "$BIN/timers" 0.001
	replay_once timers -- "$BIN/timers" 20
	[ "$(receipt timers ended)" = true ] || { why_not timers; fail "it did not come to its end"; }
	grep -q EXIT-SUCCESS "$T/timers.replay.out" || fail "$(cat "$T/timers.replay.out")"
	took_at_most timers 20000	# of 90 s by the program's clock; 2 s are a busy loop's
}

case_timers_that_nobody_recorded() {	# a sleep in the record, timers in their place
	record timers sleep 0.1
	replay_once timers -- "$BIN/timers"
	[ "$(receipt timers ended)" = true ] || { why_not timers; fail "it did not come to its end"; }
	# All is there, and at the right time; but for how late the descriptor was read.
	grep -q 'epoll: 0, ready at 4\.[34] s' "$T/timers.replay.out" || fail "$(cat "$T/timers.replay.out")"
	[ "$(grep -c . "$T/timers.replay.out")" -eq 26 ] && grep -q EXIT-SUCCESS "$T/timers.replay.out" || fail "$(cat "$T/timers.replay.out")"
}

case_timers_in_real_time() {
	record timers "$BIN/timers"
	replay_once timers --speed real
	check_replay timers || fail "it is not the same"
	[ $(($(receipt timers wall_ns) / 1000000)) -ge 4000 ] || fail "it took $(receipt timers wall_ns) ns, not 4.4 s"
}

case_cycle_counter() {		# not in the record, but the same in all replays, and reported where something differs
	local first
	record cycles "$BIN/cycles"
	grep -q 'child: 1' "$T/cycles.out" || fail "$(cat "$T/cycles.out")"
	replays_the_same cycles
	record shown "$BIN/cycles" print
	replay_once shown
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not shown; fail "it can't be the same"; }
	(as_stranger "$CAPSULE" replay "$T/shown.cap" >/dev/null 2>"$T/says") || :
	if "$CAPSULE" doctor 2>&1 | grep 'programs can read it here' >/dev/null; then	# some hypervisors: then that is said
		grep -q 'this machine does not trap readings of the cycle counter' "$T/says" || fail "$(cat "$T/says")"
		return
	fi
	[ "$(receipt cycles cycle_counter)" -gt 1000 ] || fail "the receipt says $(receipt cycles cycle_counter)"
	grep -q 'readings of the cycle counter, which is not recorded' "$T/says" || fail "$(cat "$T/says")"
	first=$(cat "$T/shown.replay.out")
	replay_once shown
	[ "$first" = "$(cat "$T/shown.replay.out")" ] || fail "two replays do not agree: $first and $(cat "$T/shown.replay.out")"
}

# Code that the vDSO's callers are not: 500000 readings, each of which would cost 4 us and more as a notification.
case_clocks_of_static_code() {
	local program
	for program in readings readings-static readings-musl readings-go; do
		[ -x "$BIN/$program" ] || { echo "$program could not be built"; continue; }
		record "$program" "$BIN/$program" 10
		ALLOW=misses replays_the_same "$program"
		replay_once "$program" -- "$BIN/$program" 500000
		grep -q EXIT-SUCCESS "$T/$program.replay.out" || { why_not "$program"; fail "$program did not come to its end"; }
		took_at_most "$program" 1000
		[ "$(receipt "$program" calls)" -lt 1000 ] || fail "$program asked the supervisor $(receipt "$program" calls) times"
	done
}

# The one case that takes its time, once: a minute of sleeps, polls, conditions, dates and ticks, side by side.
limit_sleeper=300
case_sleeper() {
	record sleeper "$BIN/sleeper"
	[ "$(wc -l <"$T/sleeper.out")" -eq 17 ] || fail "$(cat "$T/sleeper.out")"
	replays_the_same sleeper
	took_at_most sleeper 5000
}

case_sleeper_changed() {	# 100 times as long as recorded, and then in place of what does not sleep at all
	record sleeper "$BIN/sleeper" 1
	record true true
	for name in sleeper true; do
		replay_once $name -- "$BIN/sleeper" 100
		[ "$(wc -l <"$T/$name.replay.out")" -eq 17 ] || fail "$name: $(cat "$T/$name.replay.out")"
		took_at_most $name 15000
	done
	grep -q 'sleep after 100 s' "$T/true.replay.out" && grep -q 'tick after 86 s' "$T/true.replay.out" || fail "$(cat "$T/true.replay.out")"
}

case_sleeper_in_real_time() {
	record sleeper "$BIN/sleeper" 3
	replay_once sleeper --speed real
	check_replay sleeper || fail "it is not the same"
	[ $(($(receipt sleeper wall_ns) / 1000000)) -ge 2900 ] || fail "it took $(receipt sleeper wall_ns) ns, not 3 s"
}

case_readiness() {	# eventfd, signalfd, timerfd, pipes; eight connections of threads with a lock and conditions
	start_redis
	record readiness "$BIN/readiness" "$REDIS"
	grep -q 'epoll: timerfd 1' "$T/readiness.out" && grep -q '^31: ' "$T/readiness.out" && grep -q EXIT-SUCCESS "$T/readiness.out" || fail "$(cat "$T/readiness.out")"
	replays_the_same readiness
}
