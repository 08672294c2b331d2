# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Processes that share memory race with each other as threads do; what they read from outside has its place all the same.

# company HOW: the clock is read another number of times in each replay, in the last one more often for sure.
company() {
	printf '1\n2\n' >"$T/company.in"
	record company "$BIN/company" "$1" 3
	ended 0
	says company 'end 2 '
	take_away "$T/company.in"
	replays_the_same company
	replay_once company -- "$BIN/company" "$1" 300000
	check_replay company || fail "how often it reads the clock decides what comes of it"
	[ "$(receipt company between)" -gt 0 ] || fail "readings more are not counted"
}

case_inherited() { company fork; }
case_segment() { company segment; }
case_file() { mkdir "$T/here" && cd "$T/here" && company file; }

# Memory that nobody else has makes no company: then a reading more is a miss.
case_nobody_else() {
	printf '1\n2\n' >"$T/company.in"
	record company "$BIN/company" alone 3
	ended 0
	replays_the_same company
	[ "$(receipt company between)" -eq 0 ] || fail "there was nobody to race with"
	replay_once company -- "$BIN/company" alone 5
	[ "$(receipt company misses)" -gt 0 ] || fail "more readings are no miss"
}

# ---- servers that share memory ------------------------------------------------------

# serve_apache MPM [DIRECTIVE]...: apache2, recorded, with its log on stdout
serve_apache() {
	needs apache2 curl
	local mpm=$1
	shift
	[ -e "/usr/lib/apache2/modules/mod_mpm_$mpm.so" ] || skip "apache2 has no mpm_$mpm"
	HTTP=$(free_port)
	mkdir "$T/www" "$T/apache"
	echo hello >"$T/www/a.txt"
	head -c 100000 /dev/urandom >"$T/www/big"
	{
		for m in "mpm_$mpm" authz_core mime dir alias headers unique_id; do echo "LoadModule ${m}_module /usr/lib/apache2/modules/mod_$m.so"; done
		cat <<-CONF
			ServerRoot $T/apache
			ServerName localhost
			PidFile $T/apache/pid
			Listen 127.0.0.1:$HTTP
			User www-data
			Group www-data
			DocumentRoot $T/www
			TypesConfig /etc/mime.types
			ErrorLog $T/apache/error.log
			LogFormat "%h \"%r\" %>s %B %D %{UNIQUE_ID}e" short
			CustomLog /dev/stdout short
			Header set X-Id "%{UNIQUE_ID}e at %t took %D"
		CONF
		printf '%s\n' "$@"
	} >"$T/apache/conf"
	serve apache setsid apache2 -f "$T/apache/conf" -DFOREGROUND
}

requests() {
	wait_for curl -s "127.0.0.1:$HTTP/a.txt"
	local i
	for i in 1 2 3 4 5; do
		curl -sS -i "127.0.0.1:$HTTP/a.txt" "127.0.0.1:$HTTP/big" "127.0.0.1:$HTTP/none" >>"$T/got" || fail "curl"
	done
	[ "$(grep -ac '^X-Id: ' "$T/got")" -ge 10 ] || fail "not all was served"
}

ended_apache() {
	end_server apache apache2 0	# a signal to its group, which is its own
	[ "$(grep -c '"GET /big HTTP/1.1" 200 100000' "$T/apache.out")" -eq 5 ] || fail "the log is short: $(tail -n 3 "$T/apache.out")"
	take_away "$T/www" "$T/apache"
	replays_the_same apache
}

limit_apache_prefork=300
case_apache_prefork() {
	serve_apache prefork 'StartServers 3' 'MinSpareServers 2' 'MaxSpareServers 4' 'MaxRequestWorkers 6'
	requests
	ended_apache
}
