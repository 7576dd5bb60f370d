// SPDX-License-Identifier: GPL-2.0
/*
 * CALL: under the scopes while it lasts, interrupted as the plain call is, and what it
 * refuses.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <sys/resource.h>

#include "call.h"

/* --- the scopes --------------------------------------------------------------- */

struct reader {
	int fd;
	pid_t tid;
	__u32 scopes;
	long own, ret, after;
};

static void *read_pipe(void *arg)
{
	struct reader *r = arg;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct what w = { MEMSCOPE_CALL_READ, 0, &iov, 1, -1 };

	if (raw_ioctl(device, MEMSCOPE_IOC_SET_SCOPES, r->own))
		return NULL;
	__atomic_store_n(&r->tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	r->ret = under(r->fd, &w, r->scopes);
	r->after = task_scopes();
	return NULL;
}

static int reader_start(struct reader *r, pthread_t *thread)
{
	int i;

	r->tid = 0;
	if (pthread_create(thread, NULL, read_pipe, r))
		return -1;
	for (i = 0; i < 20000 && !__atomic_load_n(&r->tid, __ATOMIC_SEQ_CST); i++)
		sleep_ms(1);
	return r->tid ? 0 : -1;
}

/* Rule: for every set, on every set: both during the call, what was there after it. */
TEST_F(call, scopes_during_the_call)
{
	struct reader r = { .fd = self->pipe_fd[0] };
	pthread_t thread;

	for (r.own = 0; r.own <= ALL_SCOPES; r.own++) {
		for (r.scopes = 0; r.scopes <= ALL_SCOPES; r.scopes++) {
			ASSERT_EQ(0, reader_start(&r, &thread));
			EXPECT_EQ(r.own | r.scopes, wait_scopes(r.tid, r.own | r.scopes));
			ASSERT_EQ(1, write(self->pipe_fd[1], "", 1));
			ASSERT_EQ(0, pthread_join(thread, NULL));
			EXPECT_EQ(1, r.ret);
			EXPECT_EQ(r.own, r.after);
		}
	}
}

/* Rule: a call that fails leaves nothing behind either. */
TEST_F(call, nothing_left_after_failure)
{
	struct what w = { MEMSCOPE_CALL_READ, 0, (void *)8, 1, -1 };
	int kind, op;

	ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_SET_SCOPES, NOFS));
	for (kind = 0; kind < KINDS; kind++) {
		for (op = 0; op <= MEMSCOPE_CALL_WRITE; op++) {
			struct file f;

			w.op = op;
			ASSERT_EQ(0, file_open(&f, kind));
			EXPECT_GT(0, under(f.fd, &w, ALL_SCOPES));
			EXPECT_EQ(NOFS, task_scopes());
			file_close(&f);
		}
	}
	ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_SET_SCOPES, 0));
}

/* Rule: holds and suspensions are as before, whatever the call adds. */
TEST_F(call, nests_with_holds)
{
	struct iovec iov = { buffer, 1 };
	struct what w = { MEMSCOPE_CALL_READ, 0, &iov, 1, 0 };
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	long held, scopes;

	for (held = 0; held <= ALL_SCOPES; held++) {
		for (scopes = 0; scopes <= ALL_SCOPES; scopes++) {
			ASSERT_EQ(0, hold(device, held));
			EXPECT_EQ(1, under(zero, &w, scopes));
			EXPECT_EQ(held, task_scopes());
			ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_SUSPEND, 0));
			EXPECT_EQ(1, under(zero, &w, scopes));
			EXPECT_EQ(0, task_scopes());
			ASSERT_EQ(0, raw_ioctl(device, MEMSCOPE_IOC_RESUME, 0));
			EXPECT_EQ(held, task_scopes());
		}
	}
	ASSERT_EQ(0, hold(device, 0));
	close(zero);
}

static int handled;

static void handler(int signal)
{
	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

/* Rule: a signal interrupts it as the plain call: EINTR, or restarted with SA_RESTART. */
TEST_F(call, signals)
{
	int restart;

	for (restart = 0; restart < 2; restart++) {
		struct reader r = { .fd = self->pipe_fd[0], .own = LOCAL, .scopes = NOIO };
		struct sigaction action = { .sa_handler = handler,
					    .sa_flags = restart ? SA_RESTART : 0 };
		pthread_t thread;
		int i;

		handled = 0;
		ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
		ASSERT_EQ(0, reader_start(&r, &thread));
		ASSERT_EQ(NOIO | LOCAL, wait_scopes(r.tid, NOIO | LOCAL));
		ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
		for (i = 0; i < 20000 && !__atomic_load_n(&handled, __ATOMIC_SEQ_CST); i++)
			sleep_ms(1);
		EXPECT_EQ(1, handled);
		if (restart) {
			EXPECT_EQ(NOIO | LOCAL, wait_scopes(r.tid, NOIO | LOCAL));
			ASSERT_EQ(1, write(self->pipe_fd[1], "", 1));
		}
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(restart ? 1 : -EINTR, r.ret);
		EXPECT_EQ(LOCAL, r.after);
	}
}

/* --- signals in the middle of a write ------------------------------------------- */

static char big[1 << 20];

struct writer {
	int fd;
	bool through;
	pid_t tid;
	long ret, after;
};

static void *write_pipe(void *arg)
{
	struct writer *w = arg;
	struct iovec iov[3] = {
		{ big, 100 }, { big + 100, 300000 }, { big + 300100, sizeof(big) - 300100 },
	};
	struct what what = { MEMSCOPE_CALL_WRITE, 0, iov, 3, -1 };

	if (raw_ioctl(device, MEMSCOPE_IOC_SET_SCOPES, LOCAL))
		return NULL;
	__atomic_store_n(&w->tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	w->ret = w->through ? under(w->fd, &what, NOIO) : plain(w->fd, &what);
	w->after = task_scopes();
	return NULL;
}

/* Until the pipe is full and the writer sleeps in its call. */
static bool wait_for_writer(struct writer *w, int end, int size)
{
	int i, have = 0;

	for (i = 0; i < PATIENCE; i++) {
		pid_t tid = __atomic_load_n(&w->tid, __ATOMIC_SEQ_CST);

		if (tid && !ioctl(end, FIONREAD, &have) && have == size &&
		    is_in_syscall(getpid(), tid, w->through ? SYS_ioctl : SYS_pwritev2))
			return true;
		sleep_ms(10);
	}
	return false;
}

/* Reads so many bytes, which must be those of big, after so many others; how many were not. */
static int wrong_bytes(int fd, int others, int want)
{
	static char got[sizeof(big)];
	int have = 0, n, i, wrong = 0;

	while (have < others + want) {
		n = read(fd, got, sizeof(got));
		if (n <= 0)
			return -1;
		for (i = 0; i < n; i++, have++)
			wrong += have >= others && got[i] != big[have - others];
	}
	return wrong + have - others - want;
}

/*
 * Rule: what was written before the signal is returned; where nothing was, it is EINTR, or the
 * call is restarted. As the plain call does, in each case.
 */
TEST_F(call, signals_in_a_write)
{
	int way, size = fcntl(self->pipe_fd[1], F_GETPIPE_SZ), i;

	ASSERT_LT(0, size);
	for (i = 0; i < sizeof(big); i++)
		big[i] = i * 7 + i / 256;
	for (way = 0; way < 8; way++) {
		bool full = way & 1, restart = way & 2;
		struct writer w = { .fd = self->pipe_fd[1], .through = way & 4 };
		struct sigaction action = { .sa_handler = handler,
					    .sa_flags = restart ? SA_RESTART : 0 };
		long want = !full ? size : restart ? sizeof(big) : -EINTR;
		pthread_t thread;

		handled = 0;
		ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
		if (full)
			ASSERT_EQ(size, write(self->pipe_fd[1], big, size));
		ASSERT_EQ(0, pthread_create(&thread, NULL, write_pipe, &w));
		ASSERT_TRUE(wait_for_writer(&w, self->pipe_fd[0], size));
		EXPECT_EQ(w.through ? NOIO | LOCAL : LOCAL, thread_scopes(w.tid));
		ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
		for (i = 0; i < PATIENCE && !__atomic_load_n(&handled, __ATOMIC_SEQ_CST); i++)
			sleep_ms(10);
		EXPECT_EQ(1, handled);
		if (full && restart)
			ASSERT_TRUE(wait_for_writer(&w, self->pipe_fd[0], size));
		EXPECT_EQ(0, wrong_bytes(self->pipe_fd[0], full ? size : 0, want < 0 ? 0 : want));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(want, w.ret) {
			TH_LOG("way %d", way);
		}
		EXPECT_EQ(LOCAL, w.after);
	}
}

/* Writes where that is deadly; ends only if it was not. */
static void write_and_die(int signal_number, bool through)
{
	struct iovec iov = { buffer, 1000 };
	struct what w = { MEMSCOPE_CALL_WRITE, 0, &iov, 1, -1 };
	struct rlimit limit = { 10, 10 };
	struct file f;

	signal(signal_number, SIG_DFL);
	if (file_open(&f, signal_number == SIGPIPE ? BROKEN_PIPE : REGULAR))
		_exit(1);
	/* Behind the limit: up to it, it would be written in part. */
	if (signal_number == SIGXFSZ) {
		w.offset = SIZE;
		if (setrlimit(RLIMIT_FSIZE, &limit))
			_exit(2);
	}
	if (through)
		under(f.fd, &w, NOIO);
	else
		plain(f.fd, &w);
	_exit(3);
}

/* Rule: the signals that a write itself is answered with are sent for a CALL as well. */
TEST_F(call, signals_of_a_write)
{
	static const int signals[] = { SIGPIPE, SIGXFSZ };
	int i, through, status;
	pid_t pid;

	for (i = 0; i < ARRAY_LEN(signals); i++) {
		for (through = 0; through < 2; through++) {
			pid = fork();
			ASSERT_LE(0, pid);
			if (!pid)
				write_and_die(signals[i], through);
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_TRUE(WIFSIGNALED(status));
			EXPECT_EQ(signals[i], WTERMSIG(status));
		}
	}
}

/* Rule: a blocked call can be killed. */
TEST_F(call, killed)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct reader r = { .fd = self->pipe_fd[0], .scopes = ALL_SCOPES };

		read_pipe(&r);
		_exit(1);
	}
	EXPECT_EQ(ALL_SCOPES, wait_scopes_of(pid, pid, ALL_SCOPES));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

/* --- arguments ------------------------------------------------------------------ */

/* A call that succeeds, of each operation. */
static struct memscope_call good(int op, int fd)
{
	static struct iovec iov = { buffer, 1 };
	struct memscope_call call = { .op = op, .scopes = NOIO, .fd = fd };

	if (op <= MEMSCOPE_CALL_WRITE) {
		call.iov = (unsigned long)&iov;
		call.iovcnt = 1;
	} else if (op == MEMSCOPE_CALL_FALLOCATE) {
		call.len = 1;
	}
	return call;
}

/* Rule: unknown operations, scopes and fields that are not taken are EINVAL, bit by bit. */
TEST_F(call, unknown_bits)
{
	struct memscope_call call;
	struct file f;
	int op, bit;

	ASSERT_EQ(0, file_open(&f, REGULAR));
	for (op = 0; op < 4; op++) {
		call = good(op, f.fd);
		ASSERT_EQ(op <= MEMSCOPE_CALL_WRITE, call_ioctl(&call));
		for (bit = 0; bit < 64; bit++) {
			if (bit >= 2 && bit < 32) {
				call = good(op, f.fd);
				call.op |= 1U << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
			if (bit < 32) {
				call = good(op, f.fd);
				call.scopes |= 1U << bit;
				EXPECT_EQ((1U << bit) & ALL_SCOPES ? op <= MEMSCOPE_CALL_WRITE :
					  -EINVAL, call_ioctl(&call));
				call = good(op, f.fd);
				call.reserved |= 1U << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
			if (op == MEMSCOPE_CALL_FSYNC && bit >= 1 && bit < 32) {
				call = good(op, f.fd);
				call.flags = 1U << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
			call = good(op, f.fd);
			if (op <= MEMSCOPE_CALL_WRITE) {
				call.len = 1ULL << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			} else {
				call.iov = 1ULL << bit;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
				call.iov = 0;
				call.iovcnt = 1U << bit % 32;
				EXPECT_EQ(-EINVAL, call_ioctl(&call));
			}
		}
	}
	call.op = 4;
	EXPECT_EQ(-EINVAL, call_ioctl(&call));
	file_close(&f);
}

/* Rule: the struct may be larger by zeroes, not smaller; and is where it says. */
TEST_F(call, struct_size)
{
	struct {
		struct memscope_call call;
		char beyond[64];
	} large = { .call = good(MEMSCOPE_CALL_FSYNC, self->pipe_fd[0]) };
	int size, i;

	for (size = 0; size <= sizeof(large); size++) {
		unsigned int cmd = _IOC(_IOC_WRITE, MEMSCOPE_IOC_MAGIC,
					_IOC_NR(MEMSCOPE_IOC_CALL), size);

		/* A pipe cannot be synchronised: what the plain call says. */
		EXPECT_EQ(-EINVAL, raw_ioctl(device, cmd, (unsigned long)&large));
		for (i = sizeof(large.call); i < size; i++) {
			((char *)&large)[i] = 1;
			EXPECT_EQ(-E2BIG, raw_ioctl(device, cmd, (unsigned long)&large));
			((char *)&large)[i] = 0;
		}
	}
	EXPECT_EQ(-EFAULT, raw_ioctl(device, MEMSCOPE_IOC_CALL, 0));
	EXPECT_EQ(-EFAULT, raw_ioctl(device, MEMSCOPE_IOC_CALL, 1));
}

/* Rule: EPERM without the capability, before any look at what is asked for. */
TEST_F(call, capability)
{
	struct memscope_call call = good(MEMSCOPE_CALL_READ, self->pipe_fd[0]);

	ASSERT_EQ(0, effective_resource(false));
	EXPECT_EQ(-EPERM, call_ioctl(&call));
	call.op = ~0;
	EXPECT_EQ(-EPERM, call_ioctl(&call));
	EXPECT_EQ(-EFAULT, raw_ioctl(device, MEMSCOPE_IOC_CALL, 0));
	ASSERT_EQ(0, effective_resource(true));
	EXPECT_EQ(-EINVAL, call_ioctl(&call));
}

TEST_HARNESS_MAIN
