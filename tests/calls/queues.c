/* SPDX-License-Identifier: Apache-2.0 */
/* System V's shared memory, semaphores and queues; POSIX queues. */
#include "tests/calls/calls.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int shared(void)
{
	int id = shmget(IPC_PRIVATE, 4096, 0600);

	must(id >= 0);
	return id;
}

CALL(shmget)
{
	int id = ok(DO(shmget, 0x1234, 4096, IPC_CREAT | 0600));

	must(DO(shmget, 0x1234, 0, 0) == id);
	fails(EEXIST, DO(shmget, 0x1234, 4096, IPC_CREAT | IPC_EXCL | 0600));
	fails(ENOENT, DO(shmget, 0x9999, 4096, 0));
	fails(EINVAL, DO(shmget, 0x1234, 1 << 20, 0));
	must(shmctl(id, IPC_RMID, NULL) == 0);
}

CALL(shmat)
{
	int id = shared();
	char *p = (char *)ok(DO(shmat, id, NULL, 0)), *q = (char *)ok(DO(shmat, id, NULL, SHM_RDONLY));

	strcpy(p, "shared");
	must(strcmp(q, "shared") == 0);
	must(shmctl(id, IPC_RMID, NULL) == 0);
	fails(EINVAL, DO(shmat, 4000000, NULL, 0));
}

CALL(shmdt)
{
	int id = shared();
	void *p = shmat(id, NULL, 0);

	ok(DO(shmdt, p));
	fails(EINVAL, DO(shmdt, p));
	must(shmctl(id, IPC_RMID, NULL) == 0);
}

CALL(shmctl)
{
	struct shmid_ds d;
	int id = shared();

	ok(DO(shmctl, id, IPC_STAT, &d));
	must(d.shm_segsz == 4096 && d.shm_nattch == 0 && d.shm_cpid == getpid());
	say("mode %o", d.shm_perm.mode);
	ok(DO(shmctl, id, IPC_RMID, NULL));
	fails(EINVAL, DO(shmctl, id, IPC_STAT, &d));
}

static int semaphores(void)
{
	int id = semget(IPC_PRIVATE, 2, 0600);

	must(id >= 0);
	return id;
}

static void no_semaphores(int id)
{
	must(semctl(id, 0, IPC_RMID) == 0);
}

CALL(semget)
{
	int id = ok(DO(semget, 0x1235, 3, IPC_CREAT | 0600));

	must(DO(semget, 0x1235, 0, 0) == id);
	fails(EINVAL, DO(semget, 0x1235, 5, 0));
	fails(ENOENT, DO(semget, 0x9998, 1, 0));
	no_semaphores(id);
}

CALL(semop)
{
	struct sembuf up = { 0, 3, 0 }, down = { 0, -2, 0 }, more = { 0, -2, IPC_NOWAIT };
	int id = semaphores();

	ok(DO(semop, id, &up, 1));
	ok(DO(semop, id, &down, 1));
	must(semctl(id, 0, GETVAL) == 1);
	fails(EAGAIN, DO(semop, id, &more, 1));
	up.sem_num = 9;
	fails(EFBIG, DO(semop, id, &up, 1));
	no_semaphores(id);
}

CALL(semtimedop)
{
	struct sembuf down = { 1, -1, 0 }, up = { 1, 1, 0 };
	struct timespec t = { 0, 10000000 };
	int id = semaphores();

	fails(EAGAIN, DO(semtimedop, id, &down, 1, &t));
	ok(DO(semtimedop, id, &up, 1, &t));
	ok(DO(semtimedop, id, &down, 1, NULL));
	no_semaphores(id);
	fails(EINVAL, DO(semtimedop, id, &down, 1, &t));
}

CALL(semctl)
{
	struct semid_ds d;
	int id = semaphores();

	ok(DO(semctl, id, 1, SETVAL, 5));
	must(DO(semctl, id, 1, GETVAL, 0) == 5);
	ok(DO(semctl, id, 0, IPC_STAT, &d));
	must(d.sem_nsems == 2);
	ok(DO(semctl, id, 0, IPC_RMID, 0));
	fails(EINVAL, DO(semctl, id, 0, GETVAL, 0));
}

struct message { long type; char text[16]; };

static int queue(void)
{
	int id = msgget(IPC_PRIVATE, 0600);

	must(id >= 0);
	return id;
}

CALL(msgget)
{
	int id = ok(DO(msgget, 0x1236, IPC_CREAT | 0600));

	must(DO(msgget, 0x1236, 0) == id);
	fails(ENOENT, DO(msgget, 0x9997, 0));
	must(msgctl(id, IPC_RMID, NULL) == 0);
}

CALL(msgsnd)
{
	struct message m = { 3, "to be read" };
	int id = queue();

	ok(DO(msgsnd, id, &m, 10, 0));
	must(msgrcv(id, &m, sizeof(m.text), 0, 0) == 10);
	m.type = -1;
	fails(EINVAL, DO(msgsnd, id, &m, 10, 0));
	must(msgctl(id, IPC_RMID, NULL) == 0);
	fails(EINVAL, DO(msgsnd, id, &m, 10, 0));
}

CALL(msgrcv)
{
	struct message m = { 3, "three" }, n = { 5, "five" };
	int id = queue();

	must(msgsnd(id, &m, 5, 0) == 0 && msgsnd(id, &n, 4, 0) == 0);
	must(DO(msgrcv, id, &m, sizeof(m.text), 5, 0) == 4 && m.type == 5);
	show("text", m.text, 4);
	fails(E2BIG, DO(msgrcv, id, &m, 2, 0, 0));
	must(DO(msgrcv, id, &m, 2, 0, MSG_NOERROR) == 2);
	fails(ENOMSG, DO(msgrcv, id, &m, sizeof(m.text), 0, IPC_NOWAIT));
	must(msgctl(id, IPC_RMID, NULL) == 0);
}

CALL(msgctl)
{
	struct msqid_ds d;
	int id = queue();

	ok(DO(msgctl, id, IPC_STAT, &d));
	must(d.msg_qnum == 0);
	ok(DO(msgctl, id, IPC_RMID, NULL));
	fails(EINVAL, DO(msgctl, id, IPC_STAT, &d));
}

/* A POSIX queue of three short messages. */
static int posix_queue(const char *name)
{
	struct mq_attr a = { .mq_maxmsg = 3, .mq_msgsize = 20 };
	int q = (int)DO(mq_open, name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &a);

	must(q >= 0);
	return q;
}

CALL(mq_open)
{
	int q = posix_queue("opened");

	must(q >= 0);
	fails(EEXIST, DO(mq_open, "opened", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
	fails(ENOENT, DO(mq_open, "nothing", O_RDWR, 0, NULL));
	fails(EACCES, DO(mq_open, "with/slash", O_RDWR | O_CREAT, 0600, NULL));
	ok(DO(mq_unlink, "opened"));
}

CALL(mq_unlink)
{
	posix_queue("unlinked");
	ok(DO(mq_unlink, "unlinked"));
	fails(ENOENT, DO(mq_unlink, "unlinked"));
}

CALL(mq_timedsend)
{
	int q = posix_queue("sent");

	ok(DO(mq_timedsend, q, "one", 3, 1, NULL));
	ok(DO(mq_timedsend, q, "two", 3, 2, NULL));
	ok(DO(mq_timedsend, q, "three", 5, 3, NULL));
	fails(EAGAIN, DO(mq_timedsend, q, "four", 4, 3, NULL));
	fails(EMSGSIZE, DO(mq_timedsend, q, "too long for this queue", 23, 3, NULL));
	fails(EBADF, DO(mq_timedsend, 0, "x", 1, 0, NULL));
	ok(DO(mq_unlink, "sent"));
}

CALL(mq_timedreceive)
{
	int q = posix_queue("received");
	unsigned int prio = 99;
	char buf[20];

	ok(DO(mq_timedsend, q, "low", 3, 1, NULL));
	ok(DO(mq_timedsend, q, "high", 4, 7, NULL));
	show("first", buf, ok(DO(mq_timedreceive, q, buf, sizeof(buf), &prio, NULL)));
	must(prio == 7 && DO(mq_timedreceive, q, buf, sizeof(buf), NULL, NULL) == 3);
	fails(EAGAIN, DO(mq_timedreceive, q, buf, sizeof(buf), NULL, NULL));
	fails(EMSGSIZE, DO(mq_timedreceive, q, buf, 5, NULL, NULL));
	ok(DO(mq_unlink, "received"));
}

CALL(mq_notify)
{
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int q = posix_queue("noticed");

	signal(SIGUSR1, SIG_IGN);
	ok(DO(mq_notify, q, &e));
	fails(EBUSY, DO(mq_notify, q, &e));
	ok(DO(mq_notify, q, NULL));
	fails(EBADF, DO(mq_notify, 0, NULL));
	ok(DO(mq_unlink, "noticed"));
}

CALL(mq_getsetattr)
{
	int q = posix_queue("described");
	struct mq_attr a, set = { .mq_flags = 0 };

	ok(DO(mq_getsetattr, q, NULL, &a));
	must(a.mq_maxmsg == 3 && a.mq_msgsize == 20 && a.mq_flags == O_NONBLOCK && a.mq_curmsgs == 0);
	ok(DO(mq_getsetattr, q, &set, NULL));
	ok(DO(mq_getsetattr, q, NULL, &a));
	must(a.mq_flags == 0);
	fails(EBADF, DO(mq_getsetattr, 0, NULL, &a));
	ok(DO(mq_unlink, "described"));
}
