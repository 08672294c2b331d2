# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Clients of redis, PostgreSQL and a TLS server.

fine() { [ "$STATUS" -eq 0 ] || fail "$1 ended with $STATUS: $(head -c 500 "$T/$1.err") $(tail -n 2 "$T/$1.out")"; }

case_redis_tcp() {
	start_redis
	printf 'SET a 1\nINCR a\nTIME\nLPUSH l x y z\nLRANGE l 0 -1\nINFO server\n' >"$T/redis.in"
	record redis redis-cli -h 127.0.0.1 -p "$REDIS"
	fine redis
	grep -q '^2$' "$T/redis.out" || fail "redis did not count"
	take_away "$T/redis.in"
	replays_the_same redis
}

case_redis_unix() {
	start_redis
	record redis redis-cli -s "$T/redis.sock" TIME
	fine redis
	stop_servers
	rm -f "$T/redis.sock"
	replays_the_same redis
}

case_redis_pipelined() {
	start_redis
	python3 -c 'for i in range(5000): print("SET key:%d %d\r" % (i, i * 7))' >"$T/redis.in"
	record redis redis-cli -h 127.0.0.1 -p "$REDIS" --pipe
	fine redis
	grep -q 'errors: 0, replies: 5000' "$T/redis.out" || fail "not all replies came: $(cat "$T/redis.out")"
	take_away "$T/redis.in"
	replays_the_same redis
}

case_redis_pipelined_unix() {
	start_redis
	python3 -c 'for i in range(500): print("SET key:%d %d\r" % (i, i * 7))' >"$T/redis.in"
	record redis redis-cli -s "$T/redis.sock" --pipe
	fine redis
	take_away "$T/redis.in"
	replays_the_same redis
}

case_psql() {
	start_postgres
	record psql "$PSQL" -X -h "$T/pg" -U postgres -c 'select clock_timestamp(), random(), gen_random_uuid(), pg_backend_pid(), version()' \
		-c 'select i, md5(random()::text) from generate_series(1, 2000) i' -c 'select 1/0'
	[ "$STATUS" -eq 1 ] || fail "psql ended with $STATUS: $(head -c 500 "$T/psql.err")"
	grep -q 'division by zero' "$T/psql.err" || fail "psql did not report the error"
	stop_servers
	take_away "$T/pg"
	replays_the_same psql
}

case_psql_script() {
	start_postgres
	{ echo 'create table t(i int, x text);'; for i in $(seq 100); do echo "insert into t values ($i, md5(random()::text));"; done
	  echo '\timing on'; echo 'select * from t order by x;'; } >"$T/psql.in"
	record psql "$PSQL" -X -q -h "$T/pg" -U postgres -f -
	fine psql
	stop_servers
	take_away "$T/pg" "$T/psql.in"
	replays_the_same psql
}

case_s_client() {
	start_s_server
	printf 'GET / HTTP/1.0\r\n\r\n' >"$T/tls.in"
	record tls openssl s_client -connect "127.0.0.1:$TLS" -CAfile "$T/tls/cert.pem" -ign_eof
	fine tls
	grep -q 'Verify return code: 0 (ok)' "$T/tls.out" || fail "the certificate was not accepted: $(head -c 500 "$T/tls.out")"
	stop_servers
	take_away "$T/tls" "$T/tls.in"
	replays_the_same tls
}

case_s_client_tls12() {
	start_s_server
	printf 'GET / HTTP/1.0\r\n\r\n' >"$T/tls.in"
	record tls openssl s_client -connect "127.0.0.1:$TLS" -tls1_2 -ign_eof -msg
	fine tls
	stop_servers
	take_away "$T/tls" "$T/tls.in"
	replays_the_same tls
}
