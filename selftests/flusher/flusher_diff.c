// SPDX-License-Identifier: GPL-2.0
/*
 * Differential test of /dev/memscope against prctl(PR_SET_IO_FLUSHER):
 *	flusher_diff [SEED [OPERATIONS]]
 * makes a random sequence of the operations of both, also wrong ones and with
 * the capability taken away, and after each one compares what a model of the
 * rules predicts with prctl's GET, both GET ioctls and the task's flags in
 * /proc. The same seed makes the same sequence.
 *
 * Built with the UAPI header and the C library only, as a daemon would be.
 *
 * selftest: timeout=120 m32=yes
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/memscope.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPERATIONS 100000UL
#define ALL (MEMSCOPE_SCOPE_NOIO | MEMSCOPE_SCOPE_NOFS | MEMSCOPE_SCOPE_LOCAL_THROTTLE)

static uint64_t seed, random_state;
static unsigned long step;
static char what[128] = "start";

#define fail(...) do {								\
	printf("# step %lu, %s: ", step, what);					\
	printf(__VA_ARGS__);							\
	printf("\n# repeat with: flusher_diff %#llx\n", (unsigned long long)seed);	\
	exit(1);								\
} while (0)

/* splitmix64: any seed will do. */
static uint32_t next_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) >> 32;
}

static int bits(unsigned int word)
{
	int n;

	for (n = 0; word; n++)
		word &= word - 1;
	return n;
}

static long answer(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long by_prctl(int op, unsigned long arg)
{
	return answer(syscall(SYS_prctl, op, arg, 0UL, 0UL, 0UL));
}

static int device;

static long by_ioctl(unsigned int cmd, unsigned long arg)
{
	return answer(syscall(SYS_ioctl, device, cmd, arg));
}

static int stat_fd;

static unsigned int task_flags(void)
{
	char buf[1024], *p;
	unsigned int flags;
	ssize_t len = pread(stat_fd, buf, sizeof(buf) - 1, 0);

	if (len <= 0)
		fail("cannot read the task's stat: %s", strerror(errno));
	buf[len] = '\0';
	p = strrchr(buf, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		fail("cannot parse the task's stat: %s", buf);
	return flags;
}

static void capability(bool on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	__u32 *word = &caps[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective;

	if (syscall(SYS_capget, &header, caps))
		fail("capget: %s", strerror(errno));
	if (on)
		*word |= CAP_TO_MASK(CAP_SYS_RESOURCE);
	else
		*word &= ~CAP_TO_MASK(CAP_SYS_RESOURCE);
	if (syscall(SYS_capset, &header, caps))
		fail("capset: %s", strerror(errno));
}

/* The task flag of each scope; no UAPI header has them, so they are observed. */
static unsigned int flag_of[3], scope_flags, other_flags;

static unsigned int flags_of(unsigned int scopes)
{
	return (scopes & 1 ? flag_of[0] : 0) | (scopes & 2 ? flag_of[1] : 0) |
	       (scopes & 4 ? flag_of[2] : 0);
}

static void observe_flags(void)
{
	unsigned int clear, by_prctl_set;
	int i;

	if (by_ioctl(MEMSCOPE_IOC_SET_SCOPES, 0))
		fail("SET_SCOPES(0): %s", strerror(errno));
	clear = task_flags();
	if (by_prctl(PR_SET_IO_FLUSHER, 1))
		fail("prctl: %s", strerror(errno));
	by_prctl_set = task_flags() ^ clear;
	if (bits(by_prctl_set) != 2)
		fail("prctl changed the flags %#x", by_prctl_set);
	for (i = 0; i < 3; i++) {
		if (by_ioctl(MEMSCOPE_IOC_SET_SCOPES, 1UL << i))
			fail("SET_SCOPES(%#x): %s", 1U << i, strerror(errno));
		flag_of[i] = task_flags() ^ clear;
		if (bits(flag_of[i]) != 1 || flag_of[i] & scope_flags)
			fail("scope %#x changed the flags %#x", 1U << i, flag_of[i]);
		scope_flags |= flag_of[i];
	}
	/* NOIO and LOCAL_THROTTLE are prctl's two, NOFS is neither. */
	if (flags_of(MEMSCOPE_IO_FLUSHER) != by_prctl_set)
		fail("prctl sets %#x, the scopes %#x", by_prctl_set, flags_of(MEMSCOPE_IO_FLUSHER));
	if (by_ioctl(MEMSCOPE_IOC_SET_SCOPES, 0))
		fail("SET_SCOPES(0): %s", strerror(errno));
	other_flags = task_flags() & ~scope_flags;
}

/* Mostly the arguments that work, and of the others those that nearly do. */
static unsigned long random_arg(unsigned int good)
{
	uint32_t r = next_random();
	unsigned long bit = 1ULL << (r >> 8) % 64;

	switch (r % 8) {
	case 0:
		return (uint64_t)next_random() << 32 | next_random();
	case 1:
		return bit;
	case 2:
		return bit | (r >> 16 & good);
	case 3:
		return -(unsigned long)(r >> 8 & 0xf);
	default:
		return (r >> 8) % (good + 1);
	}
}

enum op { PRCTL_SET, PRCTL_GET, IOCTL_SET, IOCTL_GET, SCOPES_SET, SCOPES_GET,
	  CAP_DROP, CAP_RAISE, OPS };

static unsigned long done[OPS], refused[OPS];

int main(int argc, char **argv)
{
	unsigned long operations = argc > 2 ? strtoul(argv[2], NULL, 0) : OPERATIONS;
	unsigned int scopes = 0, next;
	bool capable = true;
	char path[64];
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		fail("getrandom: %s", strerror(errno));
	random_state = seed;
	printf("# seed %#llx, %lu operations\n", (unsigned long long)seed, operations);

	device = open("/dev/memscope", O_RDWR | O_CLOEXEC);
	if (device < 0)
		fail("/dev/memscope: %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", syscall(SYS_gettid));
	stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (stat_fd < 0)
		fail("%s: %s", path, strerror(errno));
	observe_flags();

	for (step = 1; step <= operations; step++) {
		enum op op = next_random() % 64;
		unsigned long arg = 0;
		long got, want, is_flusher;
		unsigned int flags;

		/* The capability changes seldom, and is there most of the time. */
		if (op >= OPS)
			op = op % CAP_DROP;
		if (!capable && next_random() % 8 == 0)
			op = CAP_RAISE;
		next = scopes;
		switch (op) {
		case PRCTL_SET:
		case IOCTL_SET:
			arg = random_arg(1);
			want = 0;
			if (arg == 1)
				next = scopes | MEMSCOPE_IO_FLUSHER;
			else if (arg == 0)
				next = scopes & ~MEMSCOPE_IO_FLUSHER;
			else
				want = -EINVAL;
			break;
		case SCOPES_SET:
			arg = random_arg(ALL);
			want = 0;
			if (arg & ~(unsigned long)ALL)
				want = -EINVAL;
			else
				next = arg;
			break;
		case PRCTL_GET:
		case IOCTL_GET:
			arg = random_arg(0);
			want = (scopes & MEMSCOPE_IO_FLUSHER) == MEMSCOPE_IO_FLUSHER;
			if (arg)
				want = -EINVAL;
			break;
		case SCOPES_GET:
			arg = random_arg(0);
			want = arg ? -EINVAL : (long)scopes;
			break;
		default:
			want = 0;
			break;
		}
		if (!capable && op < CAP_DROP) {
			want = -EPERM;
			next = scopes;
		}
		snprintf(what, sizeof(what), "operation %d, argument %#lx, scopes %#x%s", op, arg,
			 scopes, capable ? "" : ", no capability");
		switch (op) {
		case PRCTL_SET:
			got = by_prctl(PR_SET_IO_FLUSHER, arg);
			break;
		case PRCTL_GET:
			got = by_prctl(PR_GET_IO_FLUSHER, arg);
			break;
		case IOCTL_SET:
			got = by_ioctl(MEMSCOPE_IOC_SET_IO_FLUSHER, arg);
			break;
		case IOCTL_GET:
			got = by_ioctl(MEMSCOPE_IOC_GET_IO_FLUSHER, arg);
			break;
		case SCOPES_SET:
			got = by_ioctl(MEMSCOPE_IOC_SET_SCOPES, arg);
			break;
		case SCOPES_GET:
			got = by_ioctl(MEMSCOPE_IOC_GET_SCOPES, arg);
			break;
		default:
			capable = op == CAP_RAISE;
			capability(capable);
			got = 0;
		}
		if (got != want)
			fail("returned %ld, not %ld", got, want);
		done[op]++;
		refused[op] += got < 0;
		scopes = next;

		is_flusher = (scopes & MEMSCOPE_IO_FLUSHER) == MEMSCOPE_IO_FLUSHER;
		got = by_prctl(PR_GET_IO_FLUSHER, 0);
		if (got != (capable ? is_flusher : -EPERM))
			fail("after it prctl GET is %ld", got);
		got = by_ioctl(MEMSCOPE_IOC_GET_IO_FLUSHER, 0);
		if (got != (capable ? is_flusher : -EPERM))
			fail("after it GET_IO_FLUSHER is %ld", got);
		got = by_ioctl(MEMSCOPE_IOC_GET_SCOPES, 0);
		if (got != (capable ? (long)scopes : -EPERM))
			fail("after it GET_SCOPES is %ld, not %#x", got, scopes);
		flags = task_flags();
		if (flags != (other_flags | flags_of(scopes)))
			fail("after it the task's flags are %#x, not %#x", flags,
			     other_flags | flags_of(scopes));
	}
	/* A test that never came to an operation has not tested it. */
	for (i = 0; i < OPS; i++) {
		printf("# operation %d: %lu times, refused %lu\n", i, done[i],
		       refused[i]);
		if (operations < 1000)
			continue;
		if (!done[i] || (i < CAP_DROP && !refused[i]))
			fail("operation %d: too few for a test", i);
	}
	printf("# %lu operations: prctl, the ioctls and /proc agree\n", operations);
	return 0;
}
