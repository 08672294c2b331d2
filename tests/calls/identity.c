/* SPDX-License-Identifier: Apache-2.0 */
/* Who the process is, and on what machine. */
#include "tests/calls/calls.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/* Calls whose answer is one number, which is not an error. */
#define NUMBER(call) CALL(call) { say("%ld", ok(DO(call))); }
NUMBER(getuid)
NUMBER(getgid)
NUMBER(geteuid)
NUMBER(getegid)
NUMBER(getppid)
NUMBER(getpgrp)

CALL(getpid)
{
	long pid = ok(DO(getpid));

	must(pid == getpid() && pid > 0);
	say("%ld", pid);
}

CALL(gettid)
{
	long tid = ok(DO(gettid));

	must(tid == getpid());
	say("%ld", tid);
}

CALL(getpgid)
{
	say("%ld", ok(DO(getpgid, 0)));
	must(DO(getpgid, getpid()) == getpgrp());
	fails(ESRCH, DO(getpgid, 4000000));
}

CALL(getsid)
{
	say("%ld", ok(DO(getsid, 0)));
	fails(ESRCH, DO(getsid, 4000000));
}

static void group_of_its_own(void)
{
	ok(DO(setpgid, 0, 0));
	must(getpgrp() == getpid());
	fails(EINVAL, DO(setpgid, 0, -1));
	fails(ESRCH, DO(setpgid, 4000000, 0));
}

CALL(setpgid)
{
	must(in_child(group_of_its_own) == 0);
}

static void session_of_its_own(void)
{
	must(ok(DO(setsid)) == getpid());
	must(getsid(0) == getpid());
	fails(EPERM, DO(setsid));
}

CALL(setsid)
{
	must(in_child(session_of_its_own) == 0);
}

/* What changes who the process is, each in a process of its own. */
#define IN_CHILD(call) \
	static void do_##call(void); \
	CALL(call) { must(in_child(do_##call) == 0); } \
	static void do_##call(void)

static void say_users(void)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	must(getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0);
	say("users %u %u %u, groups %u %u %u", r, e, s, rg, eg, sg);
}

IN_CHILD(setuid)
{
	ok(DO(setuid, 1234));
	say_users();
	fails(EPERM, DO(setuid, 0));
}

IN_CHILD(setgid)
{
	ok(DO(setgid, 1234));
	say_users();
	fails(EINVAL, DO(setgid, -1));
}

IN_CHILD(setreuid)
{
	ok(DO(setreuid, 11, 12));
	say_users();
	fails(EPERM, DO(setreuid, 13, -1));
}

IN_CHILD(setregid)
{
	ok(DO(setregid, 11, 12));
	say_users();
}

IN_CHILD(setresuid)
{
	ok(DO(setresuid, 11, 12, 13));
	say_users();
	ok(DO(setresuid, -1, 13, -1));
	say_users();
	fails(EPERM, DO(setresuid, 0, 0, 0));
}

IN_CHILD(setresgid)
{
	ok(DO(setresgid, 11, 12, 13));
	say_users();
}

CALL(getresuid)
{
	uid_t r = 7777, e = 7777, s = 7777;

	ok(DO(getresuid, &r, &e, &s));
	must(r == getuid() && e == geteuid());
	say("%u %u %u", r, e, s);
	fails(EFAULT, DO(getresuid, &r, 8, &s));
}

CALL(getresgid)
{
	gid_t r = 7777, e = 7777, s = 7777;

	ok(DO(getresgid, &r, &e, &s));
	say("%u %u %u", r, e, s);
	fails(EFAULT, DO(getresgid, &r, &e, 8));
}

IN_CHILD(setfsuid)
{
	long before = DO(setfsuid, 55);

	must(before == geteuid());
	must(DO(setfsuid, -1) == 55);
}

IN_CHILD(setfsgid)
{
	must(DO(setfsgid, 55) == getegid());
	must(DO(setfsgid, -1) == 55);
}

CALL(getgroups)
{
	gid_t list[64];
	long n = ok(DO(getgroups, 0, NULL));

	must(DO(getgroups, 64, list) == n);
	for (long i = 0; i < n; i++)
		say("%u", list[i]);
	if (n > 1)
		fails(EINVAL, DO(getgroups, 1, list));
	fails(EINVAL, DO(getgroups, -1, list));
	fails(EFAULT, DO(getgroups, 64, n ? 8 : -1));
}

IN_CHILD(setgroups)
{
	gid_t list[3] = { 5, 4, 3 };

	ok(DO(setgroups, 3, list));
	must(getgroups(3, list) == 3);
	say("%u %u %u", list[0], list[1], list[2]);
	fails(EINVAL, DO(setgroups, 70000, list));
	ok(DO(setgroups, 0, NULL));
	must(getgroups(0, NULL) == 0);
}

CALL(capget)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	ok(DO(capget, &h, d));
	say("effective %x%08x, permitted %x%08x", d[1].effective, d[0].effective, d[1].permitted, d[0].permitted);
	h.version = 7;
	fails(EINVAL, DO(capget, &h, d));
	must(h.version == _LINUX_CAPABILITY_VERSION_3);	/* what it would have liked */
	h.pid = 4000000;
	fails(ESRCH, DO(capget, &h, d));
}

IN_CHILD(capset)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { 0 } };

	d[0].permitted = d[0].effective = 1 << CAP_KILL;
	ok(DO(capset, &h, d));
	d[0].permitted |= 1 << CAP_CHOWN;
	fails(EPERM, DO(capset, &h, d));
}

CALL(uname)
{
	struct utsname u;

	ok(DO(uname, &u));
	say("%s %s %s %s %s %s", u.sysname, u.nodename, u.release, u.version, u.machine, u.domainname);
	must(strcmp(u.sysname, "Linux") == 0);
	fails(EFAULT, DO(uname, 8));
}

CALL(sethostname)
{
	struct utsname u;

	ok(DO(sethostname, "renamed", 7));
	must(uname(&u) == 0);
	say("%s", u.nodename);
	fails(EINVAL, DO(sethostname, "x", 1000));
	fails(EFAULT, DO(sethostname, 8, 5));
}

CALL(setdomainname)
{
	struct utsname u;

	ok(DO(setdomainname, "domain", 6));
	must(uname(&u) == 0);
	say("%s", u.domainname);
	fails(EINVAL, DO(setdomainname, "x", -1));
}

CALL(sysinfo)
{
	struct sysinfo i;

	ok(DO(sysinfo, &i));
	say("up %ld, load %lu, memory %lu of %lu, %u processes", i.uptime, i.loads[0], i.freeram, i.totalram, i.procs);
	must(i.freeram <= i.totalram && i.procs > 0);
	fails(EFAULT, DO(sysinfo, 8));
}

CALL(getrusage)
{
	struct rusage u;

	ok(DO(getrusage, RUSAGE_SELF, &u));
	say("user %ld us, system %ld us, %ld KiB, %ld faults", u.ru_utime.tv_usec, u.ru_stime.tv_usec, u.ru_maxrss, u.ru_minflt);
	must(u.ru_maxrss > 0);
	ok(DO(getrusage, RUSAGE_CHILDREN, &u));
	say("children: %ld KiB, %ld faults", u.ru_maxrss, u.ru_minflt);
	fails(EINVAL, DO(getrusage, 5, &u));
	fails(EFAULT, DO(getrusage, RUSAGE_SELF, 8));
}

CALL(times)
{
	struct tms t;
	long now = ok(DO(times, &t));

	say("%ld: user %ld, system %ld", now, t.tms_utime, t.tms_stime);
	must(DO(times, NULL) >= now);
	fails(EFAULT, DO(times, 8));
}

CALL(getrlimit)
{
	struct rlimit l;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		ok(DO(getrlimit, i, &l));
		say("%d: %ld %ld", i, (long)l.rlim_cur, (long)l.rlim_max);
		must(l.rlim_cur <= l.rlim_max);
	}
	fails(EINVAL, DO(getrlimit, 99, &l));
}

CALL(setrlimit)
{
	struct rlimit l, high, wrong_order = { 9, 3 };

	must(getrlimit(RLIMIT_NOFILE, &high) == 0);
	l = (struct rlimit){ 30, high.rlim_max };
	ok(DO(setrlimit, RLIMIT_NOFILE, &l));
	must(dup2(0, 29) == 29 && close(29) == 0);
	fails(EBADF, DO(dup2, 0, 30));
	ok(DO(setrlimit, RLIMIT_NOFILE, &high));
	must(dup2(0, 30) == 30 && close(30) == 0);
	high = (struct rlimit){ 30000, 30000 };
	may(EPERM, DO(setrlimit, RLIMIT_NOFILE, &high));	/* above the hard limit: for whom may */
	must(getrlimit(RLIMIT_STACK, &l) == 0);
	l.rlim_cur = 4 << 20;
	ok(DO(setrlimit, RLIMIT_STACK, &l));
	must(getrlimit(RLIMIT_STACK, &l) == 0 && l.rlim_cur == 4 << 20);
	fails(EINVAL, DO(setrlimit, RLIMIT_NOFILE, &wrong_order));
	fails(EINVAL, DO(setrlimit, 99, &l));
}

CALL(prlimit64)
{
	struct rlimit old, l;

	ok(DO(prlimit64, 0, RLIMIT_NOFILE, NULL, &old));
	say("files %ld %ld", (long)old.rlim_cur, (long)old.rlim_max);
	l = old;
	l.rlim_cur = 200;
	ok(DO(prlimit64, getpid(), RLIMIT_NOFILE, &l, &old));
	ok(DO(prlimit64, 0, RLIMIT_NOFILE, NULL, &l));
	must(l.rlim_cur == 200 && l.rlim_max == old.rlim_max);
	ok(DO(prlimit64, 0, RLIMIT_NOFILE, &old, NULL));
	fails(ESRCH, DO(prlimit64, 4000000, RLIMIT_NOFILE, NULL, &l));
	fails(EINVAL, DO(prlimit64, 0, 99, NULL, &l));
}

CALL(syslog)
{
	static char log[1 << 16];
	long n = ok(DO(syslog, 10, NULL, 0));	/* the size of its buffer */

	must(n > 0);
	n = ok(DO(syslog, 3, log, 200));	/* read all */
	show("the kernel's log", log, n);
	fails(EINVAL, DO(syslog, 99, NULL, 0));
}

CALL(lsm_get_self_attr)
{
	char buf[4096];
	uint32_t size = sizeof(buf);
	long n = may(EOPNOTSUPP, DO(lsm_get_self_attr, 100, buf, &size, 0));	/* LSM_ATTR_CURRENT */

	if (n > 0)
		show("attributes", buf, size);
	fails(EINVAL, DO(lsm_get_self_attr, 100, buf, NULL, 0));
}

CALL(lsm_set_self_attr)
{
	char buf[64] = { 0 };

	fails(EINVAL, DO(lsm_set_self_attr, 100, buf, 1, 0));
}

CALL(lsm_list_modules)
{
	uint64_t ids[32];
	uint32_t size = sizeof(ids);
	long n = ok(DO(lsm_list_modules, ids, &size, 0));

	must(n <= 32 && size == n * 8);
	for (long i = 0; i < n; i++)
		say("module %lu", ids[i]);
	size = 1;
	if (n)
		fails(E2BIG, DO(lsm_list_modules, ids, &size, 0));
	say("room for %u needed", size);
	fails(EINVAL, DO(lsm_list_modules, ids, &size, 1));
}

CALL(personality)
{
	long before = ok(DO(personality, 0xffffffff));

	must(DO(personality, before) == before);
	say("%lx", before);
}

CALL(umask)
{
	long before = ok(DO(umask, 0123));

	must(DO(umask, before) == 0123);
	say("%lo", before);
}
