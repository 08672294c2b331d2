# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Go's HTTP servers and clients: tasks that change threads, connections that are kept and used again, timers.

# A server that gives each request its id, its times, its random bytes, a file and what an upstream says of it.
go_server() {
	cat >"$T/server.go" <<-'GO'
		package main

		import (
			"context"
			crand "crypto/rand"
			"fmt"
			"io"
			"math/rand"
			"net/http"
			"os"
			"os/signal"
			"runtime"
			"sync/atomic"
			"syscall"
			"time"
		)

		func main() {
			runtime.GOMAXPROCS(4)
			upstream, file, graceful := os.Args[2], os.Args[3], os.Args[4] == "graceful"
			var served int64
			http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
				id, start, b := r.URL.Query().Get("id"), time.Now(), make([]byte, 8)
				crand.Read(b)
				own := rand.New(rand.NewSource(time.Now().UnixNano()))
				content, err := os.ReadFile(file)
				if err != nil {
					http.Error(w, err.Error(), 500)
					return
				}
				up, err := http.Get(upstream + "?id=" + id)
				if err != nil {
					http.Error(w, err.Error(), 502)
					return
				}
				defer up.Body.Close()
				body, _ := io.ReadAll(up.Body)
				atomic.AddInt64(&served, 1)
				fmt.Fprintf(w, "id=%s start=%d random=%x own=%d file=%supstream=%s end=%d\n", id, start.UnixNano(), b, own.Int63(), content, body, time.Now().UnixNano())
			})
			s, done := &http.Server{Addr: os.Args[1]}, make(chan bool)
			if graceful {
				c := make(chan os.Signal, 1)
				signal.Notify(c, syscall.SIGTERM)
				go func() {
					fmt.Println("got", <-c)
					s.Shutdown(context.Background())
					close(done)
				}()
			}
			fmt.Println("serving", os.Getpid())
			err := s.ListenAndServe()
			if graceful {
				<-done
				fmt.Println("served", atomic.LoadInt64(&served), err, time.Now().UnixNano())
			}
		}
	GO
	compile_go server
}

# drive PORT CONNECTIONS REQUESTS: at once, each connection kept; every answer must be its request's own
drive() {
	python3 - "$@" <<-'PY' || fail "not all was served"
		import http.client, re, sys, threading
		port, connections, requests = map(int, sys.argv[1:])
		answers = []
		def run(k):
		    c = http.client.HTTPConnection("127.0.0.1", port)
		    for i in range(requests):
		        c.request("GET", "/?id=%d-%d" % (k, i))
		        r = c.getresponse()
		        answers.append((r.status, "%d-%d" % (k, i), r.read().decode()))
		    c.close()
		threads = [threading.Thread(target=run, args=(k,)) for k in range(connections)]
		for t in threads: t.start()
		for t in threads: t.join()
		assert len(answers) == connections * requests
		for status, id, body in answers:
		    assert status == 200 and "id=%s " % id in body and "id=%s " % id in body.split("upstream=")[1], (status, id, body)
		assert len({re.search("random=([0-9a-f]*)", b)[1] for _, _, b in answers}) == len(answers)
	PY
}

served_by_go() {	# served_by_go default|graceful STATUS
	local port
	needs python3 curl
	go_server
	start_upstream
	port=$(free_port)
	echo "what the file says" >"$T/file"
	serve server "$T/server" "127.0.0.1:$port" "http://127.0.0.1:$UP/" "$T/file" "$1"
	wait_for listens 127.0.0.1 "$port"
	drive "$port" 5 6
	curl -sf --parallel "http://127.0.0.1:$port/?id=c1" "http://127.0.0.1:$port/?id=c2" "http://127.0.0.1:$port/?id=c3" >"$T/curl.out" || fail "curl got nothing"
	grep -q 'id=c2 ' "$T/curl.out" || fail "curl got something else: $(cat "$T/curl.out")"
	end_server server server "$2"
	take_away "$T/file"
	replays_the_same server
}

case_server() { served_by_go default 143; }
limit_server=300
case_server_shuts_down() {
	served_by_go graceful 0
	says server 'got terminated'
	says server 'served 33 '
}
limit_server_shuts_down=300

go_client() {	# go_client N: one request, or N at once
	cat >"$T/client.go" <<-'GO'
		package main

		import (
			"fmt"
			"io"
			"net/http"
			"os"
			"strconv"
			"sync"
			"time"
		)

		func get(url string, i int) string {
			t := time.Now()
			r, err := http.Get(fmt.Sprintf("%s?id=%d", url, i))
			if err != nil {
				return err.Error()
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			return fmt.Sprintf("%d %s %s %v %d %d", i, r.Status, b, err, t.UnixNano(), time.Now().UnixNano())
		}

		func main() {
			var wg sync.WaitGroup
			n, _ := strconv.Atoi(os.Args[2])
			out := make([]string, n)
			for i := range out {
				wg.Add(1)
				go func(i int) { defer wg.Done(); out[i] = get(os.Args[1], i) }(i)
			}
			wg.Wait()
			for _, s := range out {
				fmt.Println(s)
			}
		}
	GO
	compile_go client
	start_upstream
	record client "$T/client" "http://127.0.0.1:$UP/" "$1"
	ended 0
	[ "$(grep -c '200 OK' "$T/client.out")" -eq "$1" ] || fail "not all was answered: $(cat "$T/client.out")"
	replays_the_same client
}

case_client() { go_client 1; }
case_clients_at_once() { go_client 6; }
# The first one compiles net/http for all.
limit_client=240
limit_clients_at_once=240

# How many threads the runtime has made when a child is started is chance; its pid is not.
case_children() {
	cat >"$T/children.go" <<-'GO'
		package main

		import (
			"fmt"
			"os/exec"
			"runtime"
			"time"
		)

		func chance() bool {
			n, done := 0, make(chan bool)
			go func() {
				for i := 0; i < 20000; i++ {
					n += i & 1
				}
				close(done)
			}()
			for looks := 0; ; looks++ {
				select {
				case <-done:
					return looks%2 == 0
				default:
				}
			}
		}

		func main() {
			for i := 0; i < 6; i++ {
				for k := 0; k < 4 && chance(); k++ {
					go func() {
						runtime.LockOSThread()
						select {}
					}()
				}
				out, err := exec.Command("sh", "-c", "echo $$ $PPID").Output()
				fmt.Print(string(out), err, " ", time.Now().UnixNano(), "\n")
			}
		}
	GO
	compile_go children
	record children "$T/children"
	ended 0
	[ "$(grep -c '^[0-9]* [0-9]*$' "$T/children.out")" -eq 6 ] || fail "it printed $(cat "$T/children.out")"
	replays_the_same children
}
limit_children=240

# Sleeps of several goroutines, a ticker, a timeout: in no time, and in their order.
case_timers() {
	cat >"$T/timers.go" <<-'GO'
		package main

		import (
			"fmt"
			"sync"
			"time"
		)

		func main() {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := 0; i < 4; i++ {
				wg.Add(1)
				go func(i int) {
					defer wg.Done()
					time.Sleep(time.Duration(i+1) * 300 * time.Millisecond)
					mu.Lock()
					fmt.Println("slept", i)
					mu.Unlock()
				}(i)
			}
			wg.Wait()
			ticker := time.NewTicker(200 * time.Millisecond)
			for i := 0; i < 3; i++ {
				<-ticker.C
				fmt.Println("tick", i, time.Now().UnixNano())
			}
			select {
			case <-make(chan bool):
			case <-time.After(time.Second):
				fmt.Println("timeout", time.Now().UnixNano())
			}
		}
	GO
	compile_go timers
	record timers "$T/timers"
	ended 0
	[ "$(grep -c slept "$T/timers.out")" -eq 4 ] || fail "it printed $(cat "$T/timers.out")"
	replays_the_same timers
}
limit_timers=240
