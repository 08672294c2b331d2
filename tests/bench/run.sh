#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Speed and size, side by side in one run; medians of ROUNDS (5).  Prints the table that the README quotes.
# With words: only those of WORKLOADS in workloads.sh.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin	# Debian's programs, as in tests/run
top=$(cd "$(dirname "$0")/../.." && pwd)
case ${O:=build} in /*) ;; *) O=$top/$O ;; esac
ROUNDS=${ROUNDS:-5}
[ "$(id -u)" = 0 ] || { echo 'recording needs root' >&2; exit 77; }

D=$(mktemp -d "${TMPDIR:-/tmp}/capsule-bench.XXXXXX")
chmod 755 "$D"
PIDS=()
stop() { local p; for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || :; done; }
trap 'stop; rm -rf "$D"' EXIT
cp "$O/capsule" "$O"/tests/bench/{calls,flood,spawn} "$D/"
capsule=$D/capsule calls=$D/calls spawn=$D/spawn
TSC_MHZ=$("$calls" mhz 0)
export TSC_MHZ

median() { sort -g | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
as_nobody() { (cd / && setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"); }
row() { printf '| %s | %s | %s | %s |\n' "$@"; }
ratio() { [ "$1" = failed ] && echo '?' || awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
less() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%+.0f", a - b }'; }

"$D/flood" >"$D/flood.port" &
PIDS+=($!)
while [ ! -s "$D/flood.port" ]; do sleep 0.02; done
flood=$(cat "$D/flood.port")

m() { median <"$D/$1"; }
ms() { [ "$1" = failed ] && echo failed || awk -v us="$1" 'BEGIN { printf "%.1f ms", us / 1000 }'; }
kib() { awk -v b="$(stat -c %s "$1")" 'BEGIN { printf "%.1f KiB", b / 1024 }'; }
mib() { awk -v k="$1" 'BEGIN { printf "%.1f MiB", k / 1024 }'; }
head_rows() {
	echo "Linux $(uname -r), $(nproc) CPUs, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1); medians of $ROUNDS."
	echo
	row 'what' 'without' 'with capsule' 'for comparison'
	row '---' '---' '---' '---'
}

. "$top/tests/bench/workloads.sh"
if [ $# -gt 0 ]; then
	WORKLOADS=$*
	run_workloads
	head_rows
	print_workloads
	exit
fi

measure() {	# measure FILE CMD...: the number that "calls" prints on fd 2
	local to=$1
	shift
	"$@" 2>&1 >/dev/null </dev/null | tail -n 1 >>"$D/$to"
}

# Native, recorded and under strace in turn, so that whatever else the machine does touches all three.
three() {	# three WHAT N STRACE_N [PORT]
	local what=$1 n=$2 few=$3 i
	for i in $(seq "$ROUNDS"); do
		measure "$what.native" "$calls" "$what" "$n" "${@:4}"
		measure "$what.recorded" "$capsule" record -q -o "$D/$what.cap" -- "$calls" "$what" "$n" "${@:4}"
		measure "$what.strace" strace -f -o /dev/null "$calls" "$what" "$few" "${@:4}"
		rm -f "$D/$what.cap"
	done
}
three getrandom 200000 5000
three read 200000 5000 "$flood"

# A process that is not recorded, while another is.
for i in $(seq "$ROUNDS"); do
	measure outside.alone "$calls" getrandom 300000
	"$capsule" record -q -o "$D/sleep.cap" -- sleep 2 &
	rec=$!
	sleep 1
	measure outside.beside "$calls" getrandom 300000
	wait $rec
done

# shellcheck source=tests/bench/clocks.sh
. "$top/tests/bench/clocks.sh"
measure_readings

"$capsule" record -q -o "$D/true.cap" -- /bin/true
"$capsule" record -q -o "$D/echo.cap" -- /bin/echo hello >/dev/null
chmod 644 "$D"/*.cap
read -r true_native _ <<<"$("$spawn" 50 /bin/true || echo failed)"
read -r true_replay _ <<<"$(as_nobody "$spawn" 50 "$capsule" replay -q "$D/true.cap" || echo failed)"
read -r echo_record echo_rss <<<"$("$spawn" 10 "$capsule" record -q -o "$D/echo2.cap" -- /bin/echo hello || echo failed)"
read -r echo_native _ <<<"$("$spawn" 10 /bin/echo hello || echo failed)"

mkdir "$D/www" "$D/nginx"
head -c 5000000 /dev/urandom >"$D/www/big"
http=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$D/nginx.conf" <<CONF
daemon off; master_process off; pid $D/nginx/pid; error_log $D/nginx/error.log; events {}
http { access_log off; client_body_temp_path $D/nginx/1; proxy_temp_path $D/nginx/2; fastcgi_temp_path $D/nginx/3;
	uwsgi_temp_path $D/nginx/4; scgi_temp_path $D/nginx/5; server { listen 127.0.0.1:$http; root $D/www; } }
CONF
nginx -p "$D/nginx" -c "$D/nginx.conf" 2>/dev/null &
PIDS+=($!)
until (exec 3<>"/dev/tcp/127.0.0.1/$http") 2>/dev/null; do sleep 0.05; done
url=http://127.0.0.1:$http/big
read -r curl_native _ <<<"$("$spawn" 9 curl -sS "$url" || echo failed)"
read -r curl_record curl_rss <<<"$("$spawn" 9 "$capsule" record -q -o "$D/curl.cap" -- curl -sS "$url" || echo failed)"
read -r curl_strace _ <<<"$("$spawn" 9 strace -f -o /dev/null curl -sS "$url" || echo failed)"
chmod 644 "$D/curl.cap"
read -r curl_replay _ <<<"$(as_nobody "$spawn" 9 "$capsule" replay -q "$D/curl.cap" || echo failed)"

# shellcheck source=tests/bench/images.sh
. "$top/tests/bench/images.sh"
measure_images
run_workloads

head_rows
for what in getrandom read; do
	name='getrandom(16)'
	[ $what = read ] && name='read(64) from a socket'
	n=$(m $what.native) r=$(m $what.recorded) s=$(m $what.strace)
	row "recorded $name" "$n ns" "$r ns ($(less "$r" "$n") ns, ×$(ratio "$r" "$n"))" "\`strace -f -o /dev/null\`: $s ns (×$(ratio "$s" "$n"))"
done
n=$(m outside.alone) r=$(m outside.beside)
row 'getrandom(16) of a process that is not recorded' "$n ns" "$r ns ($(less "$r" "$n") ns, ×$(ratio "$r" "$n"))" ''
readings_rows
row 'replay of /bin/true' "$(ms "$true_native")" "$(ms "$true_replay")" ''
row 'record of /bin/echo' "$(ms "$echo_native")" "$(ms "$echo_record")" "recorder: $(mib "$echo_rss") at most"
row 'capsule of /bin/echo' '' "$(kib "$D/echo.cap")" ''
row 'curl of 5 MB, record' "$(ms "$curl_native")" "$(ms "$curl_record") (×$(ratio "$curl_record" "$curl_native"))" "\`strace -f -o /dev/null\`: $(ms "$curl_strace"); recorder: $(mib "$curl_rss") at most, capsule: $(kib "$D/curl.cap")"
images_rows
row 'curl of 5 MB, replay' "$(ms "$curl_native")" "$(ms "$curl_replay") (×$(ratio "$curl_replay" "$curl_native"))" ''
print_workloads

echo
"$top/tests/bench/watch.sh"
