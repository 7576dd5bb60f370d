// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs others that somebody is marked, in instructions: the probes of
 * page allocation, fork and exit. And what a CALL and a hold cost.
 *
 * Not on a kernel full of checks, where they are what is counted.
 *
 * selftest: timeout=120 icount=yes kernel=stock
 */
#include "kselftest_harness.h"

#include <signal.h>
#include <sys/uio.h>

#include "status.h"

#define PAGES 256
#define ROUNDS 20

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* The least of some rounds: what an interrupt adds is not in it. */
#define LEAST(body)						\
	({							\
		long least_ = -1;				\
		int round_;					\
								\
		for (round_ = 0; round_ < ROUNDS; round_++) {	\
			long start_ = now();			\
								\
			body;					\
			start_ = now() - start_;		\
			if (least_ < 0 || start_ < least_)	\
				least_ = start_;		\
		}						\
		least_;						\
	})

/* One page fault, the allocation of its page included. */
static long fault_cost(void)
{
	return LEAST(({
		char *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		int i;

		madvise(p, PAGES * 4096, MADV_NOHUGEPAGE);
		for (i = 0; i < PAGES; i++)
			p[i * 4096L] = 1;
		munmap(p, PAGES * 4096);
	})) / PAGES;
}

static long fork_cost(void)
{
	return LEAST(({
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}));
}

static pid_t marked_process(void)
{
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (hold(open_device(), MEMSCOPE_IO_FLUSHER) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

/* Rule: to who is not marked, somebody's mark costs at most a tenth more; nothing when it has gone. */
TEST(others)
{
	long fault[4], fork_[4];
	int fd = open_device();
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, need_debugfs());
	ASSERT_TRUE(wait_probes_off());
	fault_cost();
	fork_cost();
	fault[0] = fault_cost();
	fork_[0] = fork_cost();
	pid = marked_process();
	ASSERT_LT(0, pid);
	ASSERT_TRUE(probes_are("on"));
	fault[1] = fault_cost();
	fork_[1] = fork_cost();
	ASSERT_EQ(0, hold(fd, NOIO));
	fault[2] = fault_cost();
	fork_[2] = fork_cost();
	ASSERT_EQ(0, hold(fd, 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ASSERT_TRUE(wait_probes_off());
	fault[3] = fault_cost();
	fork_[3] = fork_cost();
	TH_LOG("instructions of a page fault: nobody marked %ld, another process %ld, this thread %ld, nobody any more %ld",
	       fault[0], fault[1], fault[2], fault[3]);
	TH_LOG("of fork, exit and wait: %ld, %ld, %ld, %ld", fork_[0], fork_[1], fork_[2],
	       fork_[3]);
	EXPECT_GE(fault[0] * 11 / 10, fault[1]);
	EXPECT_GE(fork_[0] * 11 / 10, fork_[1]);
	EXPECT_GE(fault[0] * 102 / 100, fault[3]);
	EXPECT_GE(fork_[0] * 105 / 100, fork_[3]);
	close(fd);
}

/* Rule: a CALL costs no more than two of the plain calls. */
TEST(call)
{
	int fd = open_device(), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte;
	struct iovec iov = { &byte, 1 };
	struct memscope_call c = { .op = MEMSCOPE_CALL_WRITE, .scopes = NOIO, .fd = null,
				   .iov = (unsigned long)&iov, .iovcnt = 1 };
	long plain, through, held;

	plain = LEAST(syscall(SYS_pwritev2, null, &iov, 1UL, 0UL, 0UL, 0UL));
	through = LEAST(raw_ioctl(fd, MEMSCOPE_IOC_CALL, (unsigned long)&c));
	held = LEAST(({ hold(fd, NOIO); hold(fd, 0); }));
	TH_LOG("instructions of a write to /dev/null: plain %ld, CALL %ld; of a hold and its end %ld",
	       plain, through, held);
	EXPECT_GE(2 * plain, through);
	close(fd);
	close(null);
}

/*
 * Rule: a SET costs what prctl() costs and at most a tenth more. That is why it is not
 * remembered: what MARK does for it costs more.
 */
TEST(set)
{
	long by_prctl, by_ioctl, marked;
	int fd = open_device();

	ASSERT_LE(0, fd);
	by_prctl = LEAST(({ raw_prctl(PR_SET_IO_FLUSHER, 1); raw_prctl(PR_SET_IO_FLUSHER, 0); }));
	by_ioctl = LEAST(({
		raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1);
		raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 0);
	}));
	marked = LEAST(({ mark(fd, 0, MEMSCOPE_IO_FLUSHER); mark(fd, 0, 0); }));
	TH_LOG("instructions to set and to clear: prctl %ld, SET_IO_FLUSHER %ld, MARK %ld", by_prctl,
	       by_ioctl, marked);
	EXPECT_GE(by_prctl * 11 / 10, by_ioctl);
	EXPECT_LT(by_prctl * 11 / 10, marked);
	close(fd);
}

static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

/* Rule: who marks threads that sleep is told when they have changed; no wait for a tick. */
TEST(sleepers)
{
	pthread_t threads[8];
	struct timespec tick;
	int i, fd = open_device();
	long marked;

	ASSERT_LE(0, fd);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, sleeper, NULL));
	/* The clock that is read without a look at the time goes in ticks. */
	ASSERT_EQ(0, clock_getres(CLOCK_MONOTONIC_COARSE, &tick));
	marked = LEAST(({
		ASSERT_EQ(0, mark(fd, MEMSCOPE_MARK_PROCESS, MEMSCOPE_IO_FLUSHER));
		ASSERT_EQ(0, mark(fd, MEMSCOPE_MARK_PROCESS, 0));
	}));
	TH_LOG("instructions to mark 8 sleeping threads, and back: %ld; in a tick: %ld", marked,
	       tick.tv_nsec);
	EXPECT_GE(tick.tv_nsec / 2, marked);
	close(fd);
}

TEST_HARNESS_MAIN
