// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of the flusher device against those that the kernel has. Prints
 * "NAME VALUE" lines; values are in thousandths of a nanosecond for one call.
 *
 * Usage: calls set|mark THREADS|write FILE|threads|fault
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/memscope.h>

#define ROUNDS	16

static int fd;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The median of ROUNDS times of n calls. */
static void timed(const char *name, unsigned int n, void (*call)(void))
{
	uint64_t ns[ROUNDS];

	/* The first round warms up. */
	for (int r = -1; r < ROUNDS; r++) {
		uint64_t start = now();

		for (unsigned int i = 0; i < n; i++)
			call();
		if (r >= 0)
			ns[r] = now() - start;
	}
	qsort(ns, ROUNDS, sizeof(*ns), compare);
	printf("%s_ps %llu\n", name, (unsigned long long)(ns[ROUNDS / 2] * 1000 / n));
}

/* --- one thread ------------------------------------------------------------- */

static void prctl_set(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		die("PR_SET_IO_FLUSHER");
}

static void ioctl_set(void)
{
	if (ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1))
		die("SET_IO_FLUSHER");
}

static void prctl_get(void)
{
	if (prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) < 0)
		die("PR_GET_IO_FLUSHER");
}

static void ioctl_get(void)
{
	if (ioctl(fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0) < 0)
		die("GET_IO_FLUSHER");
}

static void unknown_ioctl(void)
{
	if (!ioctl(fd, _IO(MEMSCOPE_IOC_MAGIC, 0xff), 0) || errno != ENOTTY)
		die("an unknown ioctl");
}

static void getppid_call(void)
{
	syscall(SYS_getppid);
}

static void set(void)
{
	timed("getppid", 1000, getppid_call);
	timed("unknown_ioctl", 1000, unknown_ioctl);
	timed("prctl_set", 1000, prctl_set);
	timed("ioctl_set", 1000, ioctl_set);
	timed("prctl_get", 1000, prctl_get);
	timed("ioctl_get", 1000, ioctl_get);
}

/* --- a process of many threads ------------------------------------------------ */

static sem_t begin, ended;
static atomic_bool stop;

/* Calls prctl when asked to. */
static void *asked(void *unused)
{
	for (;;) {
		while (sem_wait(&begin))
			;
		if (stop)
			return NULL;
		prctl_set();
		sem_post(&ended);
	}
}

static void mark(unsigned int n)
{
	uint64_t by_mark[ROUNDS], by_prctl[ROUNDS];
	pthread_t *threads = calloc(n, sizeof(*threads));
	pthread_attr_t attr;

	sem_init(&begin, 0, 0);
	sem_init(&ended, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 16384);
	/* The process has its first thread, too. */
	for (unsigned int i = 1; i < n; i++)
		if (pthread_create(&threads[i], &attr, asked, NULL))
			die("pthread_create");
	usleep(100000);
	for (int r = 0; r < ROUNDS; r++) {
		struct memscope_mark m = {
			.flags = MEMSCOPE_MARK_PROCESS,
			.scopes = r % 2 ? 0 : MEMSCOPE_IO_FLUSHER,
			.timeout_ms = 60000,
		};
		uint64_t start = now();

		if (ioctl(fd, MEMSCOPE_IOC_MARK, &m) || m.done != n)
			die("MARK");
		by_mark[r] = now() - start;
		start = now();
		prctl_set();
		for (unsigned int i = 1; i < n; i++)
			sem_post(&begin);
		for (unsigned int i = 1; i < n; i++)
			while (sem_wait(&ended))
				;
		by_prctl[r] = now() - start;
	}
	stop = true;
	for (unsigned int i = 1; i < n; i++)
		sem_post(&begin);
	for (unsigned int i = 1; i < n; i++)
		pthread_join(threads[i], NULL);
	qsort(by_mark, ROUNDS, sizeof(*by_mark), compare);
	qsort(by_prctl, ROUNDS, sizeof(*by_prctl), compare);
	printf("mark_ps %llu\n", (unsigned long long)by_mark[ROUNDS / 2] * 1000 / n);
	printf("prctl_each_ps %llu\n", (unsigned long long)by_prctl[ROUNDS / 2] * 1000 / n);
}

/* --- writes under a scope ------------------------------------------------------- */

static int file;
static char data[4096];

static void plain_write(void)
{
	if (pwrite(file, data, sizeof(data), 0) != sizeof(data))
		die("pwrite");
}

static void scoped_write(void)
{
	struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
	struct memscope_call c = {
		.op = MEMSCOPE_CALL_WRITE,
		.scopes = MEMSCOPE_IO_FLUSHER,
		.fd = file,
		.iov = (uintptr_t)&iov,
		.iovcnt = 1,
	};

	if (ioctl(fd, MEMSCOPE_IOC_CALL, &c) != sizeof(data))
		die("CALL");
}

/* The other way: sets the scopes, writes, and sets back what was there. */
static void marked_write(void)
{
	int before = ioctl(fd, MEMSCOPE_IOC_GET_SCOPES, 0);

	if (before < 0 || ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, MEMSCOPE_IO_FLUSHER))
		die("SET_SCOPES");
	plain_write();
	if (ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, (unsigned long)before))
		die("SET_SCOPES");
}

static void writes(const char *path)
{
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0)
		die(path);
	plain_write();
	timed("pwrite", 200, plain_write);
	timed("scoped_write", 200, scoped_write);
	timed("marked_write", 200, marked_write);
}

/* --- what the tracepoints cost those who are not marked ---------------------------- */

static void *nothing(void *unused)
{
	return NULL;
}

static void one_thread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
		die("pthread_create");
}

static void threads(void)
{
	struct memscope_mark m = { .flags = MEMSCOPE_MARK_HOLD, .scopes = MEMSCOPE_IO_FLUSHER };
	int other;

	timed("thread_idle", 50, one_thread);
	/* Held by a file: new threads are looked at. */
	other = open("/dev/memscope", O_RDWR | O_CLOEXEC);
	if (other < 0 || ioctl(other, MEMSCOPE_IOC_MARK, &m))
		die("MARK");
	timed("thread_held", 50, one_thread);
	close(other);
	timed("thread_after", 50, one_thread);
}

#define PAGES	256	/* page faults of one call */

static char *pages;

static void faults(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		pages[i * 4096] = 1;
	if (madvise(pages, PAGES * 4096, MADV_DONTNEED))
		die("MADV_DONTNEED");
}

/* Marks the calling thread for as long as the file is open. */
static void mark_held(void)
{
	struct memscope_mark m = { .flags = MEMSCOPE_MARK_HOLD, .scopes = MEMSCOPE_IO_FLUSHER };
	int other = open("/dev/memscope", O_RDWR | O_CLOEXEC);

	if (other < 0 || ioctl(other, MEMSCOPE_IOC_MARK, &m))
		die("MARK");
}

static void fault(void)
{
	int go[2], ready[2];
	pid_t child;
	char c;

	pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || madvise(pages, PAGES * 4096, MADV_NOHUGEPAGE) || pipe(go) || pipe(ready))
		die("fault");
	child = fork();
	if (!child) {
		if (read(go[0], &c, 1) != 1)
			die("read");
		mark_held();
		if (write(ready[1], "", 1) != 1)
			die("write");
		for (;;)
			pause();
	}
	if (child < 0)
		die("fork");
	faults();
	timed("fault_idle", 8, faults);
	if (write(go[1], "", 1) != 1 || read(ready[0], &c, 1) != 1)
		die("the child");
	timed("fault_beside", 8, faults);
	mark_held();
	timed("fault_counted", 8, faults);
	kill(child, SIGKILL);
}

int main(int argc, char **argv)
{
	fd = open("/dev/memscope", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/memscope");
	if (argc == 2 && !strcmp(argv[1], "set"))
		set();
	else if (argc == 3 && !strcmp(argv[1], "mark"))
		mark(atoi(argv[2]));
	else if (argc == 3 && !strcmp(argv[1], "write"))
		writes(argv[2]);
	else if (argc == 2 && !strcmp(argv[1], "threads"))
		threads();
	else if (argc == 2 && !strcmp(argv[1], "fault"))
		fault();
	else
		return 2;
	return 0;
}
