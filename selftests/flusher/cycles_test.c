// SPDX-License-Identifier: GPL-2.0
/*
 * 1,000 insertions and removals leave no memory behind: no slab cache and no
 * kind of vmalloc area (which includes the modules' own memory) grows.
 *
 * One CPU: with more, most of the time is spent on CPUs that wait for each other
 * to notice changed code, which in an emulator on a busy machine takes minutes.
 * lifetime_test inserts and removes with several.
 *
 * selftest: timeout=400 cpus=1
 */
#include "kselftest_harness.h"

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "flusher.h"
#include "module.h"

#define WARM_UP 50
#define CYCLES 1000
/* A leak of one object in ten cycles is seen; what the guest itself does is less. */
#define GROWTH (CYCLES / 10)

struct count {
	char name[80];
	unsigned long objects, bytes;
};

struct memory {
	struct count kind[1024];
	int kinds;
};

static struct count *kind(struct memory *m, const char *what, const char *name)
{
	char full[sizeof(m->kind[0].name)];
	int i;

	snprintf(full, sizeof(full), "%s %.60s", what, name);
	for (i = 0; i < m->kinds; i++)
		if (!strcmp(m->kind[i].name, full))
			return &m->kind[i];
	if (m->kinds == ARRAY_LEN(m->kind))
		return NULL;
	memset(&m->kind[m->kinds], 0, sizeof(m->kind[0]));
	memcpy(m->kind[m->kinds].name, full, sizeof(full));
	return &m->kind[m->kinds++];
}

/* Gives back what is only cached, so that what is left is in use. */
static void settle(void)
{
	struct dirent *entry;
	char path[512];
	DIR *dir;

	sync();
	write_text("/proc/sys/vm/drop_caches", "3");
	/* Frees that wait for RCU, and the work that they queue. */
	usleep(300000);
	dir = opendir("/sys/kernel/slab");
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", entry->d_name);
		write_text(path, "1");
	}
	if (dir)
		closedir(dir);
}

/* Returns 0 when both lists could be read. */
static int measure(struct memory *m)
{
	unsigned long active, total, size, bytes;
	char line[1024], name[128], caller[128];
	struct count *c;
	FILE *f;

	settle();
	memset(m, 0, sizeof(*m));
	f = fopen("/proc/slabinfo", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%127s %lu %lu %lu", name, &active, &total, &size) != 4)
			continue;
		c = kind(m, "slab", name);
		if (!c)
			return -1;
		c->objects += active;
		c->bytes += active * size;
	}
	fclose(f);
	f = fopen("/proc/vmallocinfo", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		/* address-address size caller+offset/length ... */
		if (sscanf(line, "%*s %lu %127[^+ ]", &bytes, caller) != 2)
			continue;
		c = kind(m, "vmalloc", caller);
		if (!c)
			return -1;
		c->objects++;
		c->bytes += bytes;
	}
	fclose(f);
	return 0;
}

/* Prints the kinds that grew by that many objects; returns how many of WHAT did. */
static int grown(struct memory *before, struct memory *after, const char *what,
		 unsigned long by)
{
	int i, n = 0;

	for (i = 0; i < after->kinds; i++) {
		struct count *now = &after->kind[i];
		unsigned long was = 0;
		int j;

		for (j = 0; j < before->kinds; j++)
			if (!strcmp(before->kind[j].name, now->name))
				was = before->kind[j].objects;
		if (strncmp(now->name, what, strlen(what)) || now->objects < was + by)
			continue;
		fprintf(stderr, "# %s: %lu objects, then %lu\n", now->name, was, now->objects);
		n++;
	}
	return n;
}

static unsigned long bytes_of(struct memory *m, const char *what)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < m->kinds; i++)
		if (!strncmp(m->kind[i].name, what, strlen(what)))
			sum += m->kind[i].bytes;
	return sum;
}

static struct memory before, after;

FIXTURE(cycles)
{
	int unused;
};

FIXTURE_SETUP(cycles)
{
	/*
	 * As a package would install it, without debug information: much of
	 * the time would go into reading that.
	 */
	if (!system("strip --strip-debug -o /tmp/memscope-cycles.ko \"$MEMSCOPE_KO\""))
		setenv("MEMSCOPE_KO", "/tmp/memscope-cycles.ko", 1);
	/* Each removal waits for RCU a few times; that is not the subject here. */
	ASSERT_EQ(0, write_text("/sys/kernel/rcu_expedited", "1"));
}

FIXTURE_TEARDOWN(cycles)
{
	write_text("/sys/kernel/rcu_expedited", "0");
	if (!module_loaded())
		EXPECT_EQ(0, module_insert());
}

/* In each cycle the device is used as well. */
static int cycle(void)
{
	int ret, fd;

	ret = module_insert();
	if (ret)
		return ret;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = raw_ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, ALL_SCOPES);
	if (!ret)
		ret = raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 0);
	if (!ret)
		ret = raw_ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, 0);
	close(fd);
	return ret ? ret : module_remove();
}

TEST_F(cycles, no_growth)
{
	struct timespec start, end;
	int i;

	if (module_loaded())
		ASSERT_EQ(0, module_remove());
	for (i = 0; i < WARM_UP; i++)
		ASSERT_EQ(0, cycle());
	ASSERT_EQ(0, measure(&before));
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < CYCLES; i++)
		ASSERT_EQ(0, cycle());
	clock_gettime(CLOCK_MONOTONIC, &end);
	ASSERT_EQ(0, measure(&after));
	/* What only waits to be freed on a busy machine goes; a leak stays. */
	for (i = 0; i < 10 && (grown(&before, &after, "slab", GROWTH) ||
			       grown(&before, &after, "vmalloc", GROWTH / 10)); i++) {
		sleep(1);
		ASSERT_EQ(0, measure(&after));
	}

	TH_LOG("%d cycles in %lld s; slab %lu KiB, then %lu; vmalloc %lu KiB, then %lu", CYCLES,
	       (long long)(end.tv_sec - start.tv_sec), bytes_of(&before, "slab") / 1024,
	       bytes_of(&after, "slab") / 1024, bytes_of(&before, "vmalloc") / 1024,
	       bytes_of(&after, "vmalloc") / 1024);
	EXPECT_EQ(0, grown(&before, &after, "slab", GROWTH));
	EXPECT_EQ(0, grown(&before, &after, "vmalloc", GROWTH / 10));
}

/* Control: what the case above looks for is seen where it is there. */
TEST_F(cycles, growth_is_seen)
{
	struct sock_filter accept = BPF_STMT(BPF_RET | BPF_K, 0xffff);
	struct sock_fprog program = { 1, &accept };
	struct rlimit limit = { 4 * CYCLES, 4 * CYCLES };
	int i, fd;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(0, measure(&before));
	for (i = 0; i < GROWTH; i++) {
		/* Slab: a socket. vmalloc: the program of its filter. */
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
					sizeof(program)));
	}
	ASSERT_EQ(0, measure(&after));
	EXPECT_LT(0, grown(&before, &after, "slab", GROWTH));
	EXPECT_LT(0, grown(&before, &after, "vmalloc", GROWTH));
}

TEST_HARNESS_MAIN
