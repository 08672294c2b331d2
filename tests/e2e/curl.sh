# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# curl with a real nginx, and with peers that misbehave.

says() { grep -aq -- "$2" "$T/$1.out" || fail "$1 did not print '$2': $(head -c 500 "$T/$1.out") -- stderr: $(head -c 500 "$T/$1.err")"; }
ended() { [ "$STATUS" -eq "$1" ] || fail "curl ended with $STATUS, not $1: $(cat "$T/"*.err)"; }

case_two_urls_one_connection() {
	start_nginx
	record two curl -sS -w '%{num_connects} %{time_total} %{local_port}\n' "http://127.0.0.1:$HTTP/live" "http://127.0.0.1:$HTTP/live"
	ended 0
	says two ' 2$'		# nginx counted the second request on the same connection
	replays_the_same two
}

case_verbose() {
	start_nginx
	echo 'a page' >"$T/www/page"
	record verbose curl -v "http://127.0.0.1:$HTTP/page"
	ended 0
	says verbose 'a page'
	replays_the_same verbose
}

case_chunked() {
	start_nginx
	for i in $(seq 200); do printf '%s <!--# echo var="request_id" --> <!--# echo var="date_gmt" -->\n' "$i"; done >"$T/www/page.shtml"
	record chunked curl -sS -i "http://127.0.0.1:$HTTP/page.shtml"
	ended 0
	says chunked 'Transfer-Encoding: chunked'
	replays_the_same chunked
}

case_five_megabytes() {
	start_nginx
	head -c 5000000 /dev/urandom >"$T/www/big"
	record big curl -sS "http://127.0.0.1:$HTTP/big"
	ended 0
	cmp "$T/big.out" "$T/www/big" || fail "the recorded curl printed something else than the file"
	take_away "$T/www"
	replays_the_same big
}

case_five_megabytes_to_a_file() {
	start_nginx
	mkdir "$T/down"
	head -c 5000000 /dev/urandom >"$T/www/big"
	record big curl -sS -o "$T/down/big" -w '%{size_download} %{speed_download} %{time_total}\n' "http://127.0.0.1:$HTTP/big"
	ended 0
	cmp "$T/down/big" "$T/www/big"
	take_away "$T/www" "$T/down"
	replays_the_same big
}

case_https_self_signed() {
	start_nginx
	record tls curl -sS -v --cacert "$T/nginx/cert.pem" "https://localhost:$HTTPS/live"
	ended 0
	take_away "$T/nginx/cert.pem"
	replays_the_same tls
}

case_https_insecure_http1() {
	start_nginx
	record tls curl -sS -k --http1.1 --tls-max 1.2 "https://127.0.0.1:$HTTPS/live" "https://127.0.0.1:$HTTPS/live"
	ended 0
	replays_the_same tls
}

case_https_refused_certificate() {
	start_nginx
	record tls curl -sS "https://127.0.0.1:$HTTPS/live"
	ended 60
	replays_the_same tls
}

case_connection_refused() {
	record refused curl -sS "http://127.0.0.1:$(free_port)/"
	ended 7
	replays_the_same refused
}

case_reset_in_mid_body() {
	start_peer reset
	record reset curl -sS -w '%{size_download}\n' "http://127.0.0.1:$PEER/"
	ended 56
	replays_the_same reset
}

case_time_out() {
	start_peer silent
	record late curl -sS -m 1 "http://127.0.0.1:$PEER/"
	ended 28
	replays_the_same late
}

case_empty_reply() {
	start_peer hole
	record empty curl -sS "http://127.0.0.1:$PEER/"
	ended 52
	replays_the_same empty
}

case_post() {
	start_peer fickle
	head -c 300000 /dev/urandom | base64 >"$T/body"
	record post curl -sS --data-binary "@$T/body" "http://127.0.0.1:$PEER/"
	ended 0
	take_away "$T/body"
	replays_the_same post
}

case_name_by_ipv4_dns() {
	private_network
	HTTP=80 HTTPS=443 start_nginx
	start_dns 127.0.0.1
	record dns curl -sS -w '%{remote_ip} %{time_namelookup}\n' http://web.test/live
	ended 0
	says dns '^127.0.0.1 '
	umount /etc/resolv.conf
	replays_the_same dns
}

case_name_by_ipv6_dns() {
	[ -e /proc/net/if_inet6 ] || skip "no IPv6 here"
	private_network
	HTTP=80 HTTPS=443 start_nginx
	start_dns ::1
	record dns curl -sS -w '%{remote_ip} %{time_namelookup}\n' http://six.test/live
	ended 0
	says dns '^::1 '
	umount /etc/resolv.conf
	replays_the_same dns
}

case_name_unknown() {
	private_network
	start_dns 127.0.0.1
	record unknown curl -sS http://nobody.test/
	ended 6
	umount /etc/resolv.conf
	replays_the_same unknown
}

case_three_at_once() {
	start_nginx
	record parallel curl -sS -Z "http://127.0.0.1:$HTTP/live" "http://127.0.0.1:$HTTP/live" "http://[::1]:$HTTP/live"
	ended 0
	replays_the_same parallel
}
