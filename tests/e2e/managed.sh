# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Managed runtimes: programs whose tasks, collectors and compilers run on many threads, as chance has it.

# ---- Java -----------------------------------------------------------------------------

case_java_hello() {
	cat >"$T/Hello.java" <<-'JAVA'
		public class Hello {
			public static void main(String[] args) throws Exception {
				System.out.println("hello " + System.currentTimeMillis() + " " + java.util.UUID.randomUUID() + " " + Math.random());
				System.out.println(ProcessHandle.current().pid() + " " + java.time.Instant.now() + " " + new Object().hashCode());
				System.exit(3);
			}
		}
	JAVA
	compile_java Hello
	record hello java $ALONE -cp "$T" Hello
	ended 3
	replays_the_same hello
}

# java HELLO.java: the compiler is in it.
case_java_source() {
	needs java
	echo 'public class Main { public static void main(String[] a) { System.out.println("from source " + System.currentTimeMillis()); } }' >"$T/Main.java"
	record source java $ALONE "$T/Main.java"
	ended 0
	replays_the_same source
}

case_javac() {
	needs javac
	echo 'public class Main { public static void main(String[] a) { for (String s : a) System.out.println(s); } }' >"$T/Main.java"
	mkdir "$T/classes"
	record javac javac -J$ALONE -d "$T/classes" "$T/Main.java"
	ended 0
	[ -s "$T/classes/Main.class" ] || fail "javac wrote nothing"
	take_away "$T/classes"
	replays_the_same javac
}

collected() {	# collected OPTION...
	cat >"$T/Garbage.java" <<-'JAVA'
		import java.util.*;
		public class Garbage {
			public static void main(String[] args) throws Exception {
				Map<Integer, byte[]> kept = new HashMap<>();
				long sum = 0;
				Thread[] threads = new Thread[3];
				for (int t = 0; t < threads.length; t++) {
					final int n = t;
					threads[t] = new Thread(() -> {
						List<byte[]> own = new ArrayList<>();
						for (int i = 0; i < 4000; i++) { own.add(new byte[4096]); if (own.size() > 500) own.clear(); }
					});
					threads[t].start();
				}
				for (int i = 0; i < 20000; i++) { kept.put(i % 1000, new byte[2048 + i % 7]); sum += kept.get(i % 1000).length; }
				for (Thread t : threads) t.join();
				System.gc();
				System.out.println(sum + " " + kept.size() + " " + System.currentTimeMillis());
				long gcs = 0;
				for (var b : java.lang.management.ManagementFactory.getGarbageCollectorMXBeans()) gcs += b.getCollectionCount();
				System.out.println(gcs > 2 ? "collected" : "not collected");
			}
		}
	JAVA
	compile_java Garbage
	record garbage java $ALONE "$@" -Xmx24m -cp "$T" Garbage
	ended 0
	says garbage '^collected'
	replays_the_same garbage
}

case_java_g1() { collected -XX:+UseG1GC; }
case_java_serial() { collected -XX:+UseSerialGC; }
