// SPDX-License-Identifier: GPL-2.0
/*
 * The module comes and goes while it is used, by ioctls and through bufio, and
 * while memory is short. Rule: a removal is done or refused, never by half;
 * whoever uses the module gets what it asks for, or finds no device.
 *
 * LOADS says how many times; the default is for make check's time.
 *
 * selftest: timeout=300 memory=1G
 */
#include "kselftest_harness.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "../flusher/mark.h"
#include "../flusher/module.h"
#include "../sanitize/bufio_faults.h"

#define LOADS 50
/* Each so many loads there are clients of bufio. */
#define BUFIO_EVERY 10
#define USERS 2
#define MEMORY (16 << 20)

static struct shared {
	atomic_ulong used, gone, wrong, bufio_done;
	/* How many operations bufio's user is to do; when it has, it lets go of the module. */
	atomic_ulong bufio_wanted;
} *shared;

static void wrong(const char *what)
{
	fprintf(stderr, "# %s: %s\n", what, strerror(errno));
	atomic_fetch_add(&shared->wrong, 1);
}

/* Opens, marks its process, forks in the mark, suspends, closes; all the time. */
static void user(void)
{
	int fd, status;
	pid_t pid;

	for (;;) {
		fd = open_device();
		if (fd < 0) {
			/* Not there, or just going. */
			if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
				wrong("open");
			atomic_fetch_add(&shared->gone, 1);
			usleep(5000);
			continue;
		}
		if (mark(fd, MEMSCOPE_MARK_HOLD | MEMSCOPE_MARK_PROCESS, NOIO) ||
		    task_scopes() != NOIO)
			wrong("mark");
		pid = fork();
		if (!pid)
			_exit(task_scopes() != 0);
		if (raw_ioctl(fd, MEMSCOPE_IOC_SUSPEND, 0) ||
		    raw_ioctl(fd, MEMSCOPE_IOC_RESUME, 0))
			wrong("suspend");
		close(fd);
		if (task_scopes() || waitpid(pid, &status, 0) != pid || status)
			wrong("close");
		atomic_fetch_add(&shared->used, 1);
		/* Closed by all, now and then: else it could never be removed. */
		usleep(1000);
	}
}

/* Runs operations of bufio through a client, as many as are wanted. */
static void bufio_user(void)
{
	unsigned long op;
	long count;
	int fd;

	for (op = 0;; usleep(1000)) {
		if (atomic_load(&shared->bufio_done) == atomic_load(&shared->bufio_wanted))
			continue;
		fd = open("/dev/bufio_faults", O_RDWR | O_CLOEXEC);
		count = raw_ioctl(fd, BUFIO_FAULTS_COUNT, 0);
		while (atomic_load(&shared->bufio_done) < atomic_load(&shared->bufio_wanted)) {
			if (count <= 0 || raw_ioctl(fd, BUFIO_FAULTS_PREPARE, op) ||
			    raw_ioctl(fd, BUFIO_FAULTS_ACT, op) ||
			    raw_ioctl(fd, BUFIO_FAULTS_JUDGE, op)) {
				fprintf(stderr, "# operation %lu\n", op);
				wrong("bufio");
			}
			op = (op + 1) % (count > 0 ? count : 1);
			if (atomic_load(&shared->bufio_done) + 1 == atomic_load(&shared->bufio_wanted))
				close(fd);
			atomic_fetch_add(&shared->bufio_done, 1);
		}
	}
}

/* Keeps reclaim's shrinkers and the page allocator busy. */
static void memory(void)
{
	char *p;
	int i;

	for (;;) {
		p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			continue;
		for (i = 0; i < MEMORY; i += 4096)
			p[i] = 1;
		munmap(p, MEMORY);
		if (write_text("/proc/sys/vm/drop_caches", "2"))
			wrong("drop_caches");
		usleep(100000);
	}
}

static pid_t start(void (*f)(void))
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		f();
	}
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool refused(int ret)
{
	return ret == -EAGAIN || ret == -EBUSY;
}

FIXTURE(load) {
	int unused;
};

FIXTURE_SETUP(load)
{
	/* As a package would install it; else most of the time is for reading it. */
	ASSERT_EQ(0, system("strip --strip-debug -o /tmp/memscope-load.ko \"$MEMSCOPE_KO\""));
	setenv("MEMSCOPE_KO", "/tmp/memscope-load.ko", 1);
	ASSERT_EQ(0, system("modprobe dm-mod && modprobe brd rd_nr=1 rd_size=65536"));
	/* Each removal waits for RCU a few times; that is not the subject here. */
	ASSERT_EQ(0, write_text("/sys/kernel/rcu_expedited", "1"));
}

FIXTURE_TEARDOWN(load)
{
	write_text("/sys/kernel/rcu_expedited", "0");
	if (!module_loaded())
		EXPECT_EQ(0, module_insert());
	EXPECT_EQ(0, system("rmmod brd"));
}

TEST_F(load, and_unload)
{
	const char *text = getenv("LOADS");
	int loads = text && *text ? atoi(text) : LOADS;
	unsigned long not_now = 0, in_use = 0, used;
	pid_t users[USERS], eater, bufio;
	int i, ret;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	for (i = 0; i < USERS; i++)
		users[i] = start(user);
	bufio = start(bufio_user);
	eater = start(memory);
	for (i = 0; i < loads; i++) {
		/* Each was used. */
		used = atomic_load(&shared->used);
		while (atomic_load(&shared->used) == used)
			usleep(1000);
		if (i % BUFIO_EVERY == 0) {
			ASSERT_EQ(0, insert_built("ext/sanitize/bufio_faults.ko", ""));
			atomic_fetch_add(&shared->bufio_wanted, 2);
			/* Rule: never while it is used. */
			while (atomic_load(&shared->bufio_done) <
			       atomic_load(&shared->bufio_wanted)) {
				ASSERT_TRUE(refused(module_remove()));
				in_use++;
				usleep(1000);
			}
			/* Its file may have been closed a moment ago. */
			while ((ret = syscall(SYS_delete_module, "bufio_faults", O_NONBLOCK))) {
				ASSERT_TRUE(refused(-errno));
				usleep(1000);
			}
		}
		while ((ret = module_remove())) {
			ASSERT_TRUE(refused(ret));
			not_now++;
			usleep(1000);
		}
		ASSERT_EQ(0, module_insert());
	}
	for (i = 0; i < USERS; i++)
		stop(users[i]);
	stop(bufio);
	stop(eater);
	printf("# %d loads and unloads, %lu refused under ioctls, %lu under bufio; %lu uses, %lu of bufio, no device %lu times\n",
	       loads, not_now, in_use, atomic_load(&shared->used),
	       atomic_load(&shared->bufio_done), atomic_load(&shared->gone));
	EXPECT_EQ(0, atomic_load(&shared->wrong));
	EXPECT_LT(0, not_now);
	EXPECT_LT(0, in_use);
	EXPECT_LT(0, atomic_load(&shared->gone));
}

TEST_HARNESS_MAIN
