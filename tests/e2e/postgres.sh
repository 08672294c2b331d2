# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# PostgreSQL as the recorded server: processes of one thread that share memory, signal each other, and keep time.

# prepare_postgres: $PG_BIN, a cluster in $T/pg/data
prepare_postgres() {
	needs_recording
	PG_BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$PG_BIN" ] || skip "postgresql is not installed"
	mkdir "$T/pg" && chown postgres "$T/pg"
	(cd "$T/pg" && as_user postgres "$PG_BIN/initdb" -D "$T/pg/data" -A trust -N -E UTF8 --locale=C >"$T/initdb.log" 2>&1) || fail "initdb: $(tail -n 3 "$T/initdb.log")"
	export PGHOST=$T/pg PGUSER=postgres
}

# serve_postgres NAME [-c SETTING]...: recorded; a unix socket in $T/pg.  Two of its processes wake up by the clock and count in the
# files what they find others doing, to the microsecond; here they do so less often.
serve_postgres() {
	serve "$1" setpriv --reuid=postgres --regid=postgres --clear-groups "$PG_BIN/postgres" -D "$T/pg/data" -k "$T/pg" \
		-c listen_addresses= -c max_connections=10 -c shared_buffers=8MB -c bgwriter_delay=10s -c wal_writer_delay=10s "${@:2}"
	wait_for "$PG_BIN/pg_isready" -q
}

ask() { "$PG_BIN/psql" -X -q -At -v ON_ERROR_STOP=1 "$@" || fail "psql"; }

# ended_well NAME [SIGNAL]: all that it wrote is compared, the files of the cluster too.
ended_well() {
	end_server "$1" postgres 0 "${2:-TERM}"
	grep -q 'database system is shut down' "$T/$1.err" || fail "it was not shut down: $(tail -n 3 "$T/$1.err")"
	take_away "$T/pg"
	replays_the_same "$1"
}

limit_session=300
case_session() {
	prepare_postgres
	serve_postgres pg
	ask -c 'create table t (id serial, at timestamptz, r float, u uuid)' -c 'insert into t (at, r, u) values (now(), random(), gen_random_uuid())'
	ask -c 'insert into t (at, r, u) select clock_timestamp(), random(), gen_random_uuid() from generate_series(1, 100)'
	ask -c 'select * from t order by id' >"$T/rows"
	[ "$(wc -l <"$T/rows")" -eq 101 ] || fail "not all rows are there"
	ended_well pg
}

# Over TCP and the unix socket, in two sessions that are open side by side; a fast shutdown.
limit_two_sessions=300
case_two_sessions() {
	prepare_postgres
	local port
	port=$(free_port)
	export PGPORT=$port
	serve_postgres pg -c listen_addresses=127.0.0.1 -c "port=$port"
	python3 - "$PG_BIN/psql" <<-'PY' || fail "not all was answered"
		import os, subprocess, sys
		def psql(host):
		    return subprocess.Popen([sys.argv[1], "-X", "-q", "-At", "-h", host], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
		def ask(p, text):
		    p.stdin.write(text + "; select 'done'\n;\n")
		    got = []
		    for line in p.stdout:
		        if line == "done\n": return got
		        got.append(line)
		    sys.exit("closed")
		a = psql("127.0.0.1")
		ask(a, "create table t (k int primary key, v text, at timestamptz default now())")
		b = psql(os.environ["PGHOST"])
		for i in range(20):
		    ask(a, "insert into t (k, v) values (%d, md5(random()::text))" % (2 * i))
		    ask(b, "insert into t (k, v) values (%d, repeat(md5(random()::text), 100))" % (2 * i + 1))
		ask(a, "begin; update t set v = 'a' where k = 3")
		if ask(b, "select v from t where k = 3") == ["a\n"]: sys.exit("it reads what was not committed")
		ask(a, "commit")
		if ask(b, "select v from t where k = 3") != ["a\n"] or len(ask(b, "select * from t")) != 40: sys.exit("rows are missing")
		for p in a, b: p.stdin.close(); p.wait()
	PY
	ended_well pg INT
}
