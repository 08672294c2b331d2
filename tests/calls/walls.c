/* SPDX-License-Identifier: Apache-2.0 */
/* Walls that a program builds for itself. */
#include "tests/calls/calls.h"

#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static void without_getpgid(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { 4, code };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	ok(DO(seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
	fails(EXDEV, DO(getpgid, 0));
}

CALL(seccomp)
{
	unsigned int action = SECCOMP_RET_ERRNO;

	ok(DO(seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	fails(EINVAL, DO(seccomp, 99, 0, NULL));
	fails(EFAULT, DO(seccomp, SECCOMP_SET_MODE_FILTER, 0, 8));
	must(in_child(without_getpgid) == 0);
}

static int ruleset(void)
{
	struct landlock_ruleset_attr a = { .handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE };

	return (int)DO(landlock_create_ruleset, &a, sizeof(a), 0);
}

/* A kernel may have none of it. */
static bool has_landlock(void)
{
	long version = DO(landlock_create_ruleset, NULL, 0, 1);

	must(version > 0 || version == -EOPNOTSUPP || version == -ENOSYS);
	say("%s", version > 0 ? "there" : "not there");
	return version > 0;
}

CALL(landlock_create_ruleset)
{
	struct landlock_ruleset_attr a = { .handled_access_fs = 1ull << 60 };
	int fd = has_landlock() ? ruleset() : 0;

	must(fd >= 0);
	if (fd)
		fails(EINVAL, DO(landlock_create_ruleset, &a, sizeof(a), 0));
}

CALL(landlock_add_rule)
{
	struct landlock_path_beneath_attr below = { .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = open(".", O_PATH) };
	bool has = has_landlock();
	long r = DO(landlock_add_rule, has ? ruleset() : -1, LANDLOCK_RULE_PATH_BENEATH, &below, 0);

	must(has ? r == 0 : r == -EOPNOTSUPP || r == -ENOSYS);
	r = DO(landlock_add_rule, -1, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
	must(has ? r == -EBADF : r == -EOPNOTSUPP || r == -ENOSYS);
	say("%s", error_name(r));
}

static void behind_a_wall(void)
{
	char c;

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	ok(DO(landlock_restrict_self, ruleset(), 0));
	fails(EACCES, DO(open, "given", O_RDONLY, 0));
	must(read(0, &c, 1) == 1);
}

CALL(landlock_restrict_self)
{
	bool has = has_landlock();
	long r = DO(landlock_restrict_self, -1, 0);

	must(has ? r == -EBADF : r == -EOPNOTSUPP || r == -ENOSYS);
	if (has)
		must(in_child(behind_a_wall) == 0);
}
