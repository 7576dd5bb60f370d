// SPDX-License-Identifier: GPL-2.0
/*
 * CALL: the same as the plain system call in everything that can be seen.
 *
 * selftest: timeout=120 m32=yes
 */
#include "kselftest_harness.h"

#include <stddef.h>
#include <sys/resource.h>

#include "call.h"

/* What can be seen afterwards: the result, buffers, position, contents. */
struct outcome {
	long ret;
	off_t pos;
	struct stat st;
	size_t length;
	char buffer[3 * SIZE], contents[3 * SIZE], target[3 * SIZE];
};

static void run(struct __test_metadata *_metadata, enum kind kind, struct what *w, bool through,
		struct outcome *o)
{
	struct file f;
	int fd;

	memset(o, 0, sizeof(*o));
	memset(target, 0x11, sizeof(target));
	if (w->op == MEMSCOPE_CALL_WRITE)
		memcpy(buffer, pattern, SIZE);	/* and what an earlier call left */
	else
		memset(buffer, 0x22, sizeof(buffer));
	ASSERT_EQ(0, file_open(&f, kind));
	if (kind <= WRITE_ONLY)
		lseek(f.fd, 5000, SEEK_SET);
	o->ret = through ? under(f.fd, w, MEMSCOPE_IO_FLUSHER) : plain(f.fd, w);
	o->pos = lseek(f.fd, 0, SEEK_CUR);
	memcpy(o->buffer, buffer, sizeof(buffer));
	memcpy(o->target, target, sizeof(target));
	if (f.path[0]) {
		fd = open(f.path, O_RDONLY | O_CLOEXEC);
		o->length = read(fd, o->contents, sizeof(o->contents));
		fstat(fd, &o->st);
		close(fd);
	} else if (f.other >= 0) {
		o->length = read(f.other, o->contents, sizeof(o->contents));
	} else if (kind == EVENTFD) {
		o->length = read(f.fd, o->contents, 8);
	}
	file_close(&f);
}

static void compare(struct __test_metadata *_metadata, enum kind kind, struct what *w)
{
	static struct outcome a, b;
	bool same;

	run(_metadata, kind, w, false, &a);
	run(_metadata, kind, w, true, &b);
	same = a.ret == b.ret && a.pos == b.pos && a.length == b.length &&
	       a.st.st_size == b.st.st_size && a.st.st_blocks == b.st.st_blocks &&
	       !memcmp(a.buffer, b.buffer, sizeof(a.buffer)) &&
	       !memcmp(a.contents, b.contents, sizeof(a.contents)) &&
	       !memcmp(a.target, b.target, sizeof(a.target));
	EXPECT_TRUE(same) {
		TH_LOG("%s: op %u flags %#x iovcnt %u offset %lld len %lld: plain %ld, pos %lld; "
		       "CALL %ld, pos %lld", names[kind], w->op, w->flags, w->iovcnt,
		       (long long)w->offset, (long long)w->len, a.ret, (long long)a.pos, b.ret,
		       (long long)b.pos);
	}
}

/* --- the differential test -------------------------------------------------- */

static const __s64 offsets[] = {
	0, 1, 4095, 4096, SIZE - 1, SIZE, SIZE + 5, -1, -2, -4096, 0x7fffffffffffffffLL,
	0x7ffffffffffff000LL, -0x7fffffffffffffffLL - 1, 1LL << 32, (1LL << 32) - 1,
};

/* Rule: READ and WRITE are preadv2() and pwritev2(), for every kind of file and offset. */
TEST_F(call, vectored_offsets)
{
	struct iovec iov[3] = {
		{ buffer, 100 }, { buffer + 200, 0 }, { buffer + 300, 8000 },
	};
	int kind, op, i;

	for (kind = 0; kind < KINDS; kind++) {
		for (op = MEMSCOPE_CALL_READ; op <= MEMSCOPE_CALL_WRITE; op++) {
			for (i = 0; i < ARRAY_LEN(offsets); i++) {
				/* Nothing is written where this program has its memory. */
				struct what w = { op, 0, iov, 3, offsets[i] };

				compare(_metadata, kind, &w);
			}
		}
	}
}

/* Rule: the same for every flag, known or not, and for pairs that exclude each other. */
TEST_F(call, vectored_flags)
{
	static const __u32 pairs[] = { 0x30, 0x18, 0x06, 0x22, 0x50, 0xffffffff };
	struct iovec iov[2] = { { buffer, 8 }, { buffer + 8, 4000 } };
	int kind, op, bit;

	for (kind = 0; kind < KINDS; kind++) {
		for (op = MEMSCOPE_CALL_READ; op <= MEMSCOPE_CALL_WRITE; op++) {
			for (bit = 0; bit < 32 + ARRAY_LEN(pairs); bit++) {
				struct what w = { op, bit < 32 ? 1U << bit : pairs[bit - 32],
						  iov, 2, kind == MEMORY || bit & 1 ? -1 : 0 };

				compare(_metadata, kind, &w);
			}
		}
	}
}

/* Rule: the same for every array of buffers: none, too many, bad addresses and lengths. */
TEST_F(call, vectored_arrays)
{
	static struct iovec many[1025];
	char *hole = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct iovec base[] = {
		{ NULL, 0 }, { NULL, 10 }, { buffer, 0 }, { buffer, 1 }, { buffer, SIZE },
		{ buffer, ~0UL }, { hole + 4096 - 10, ~0UL >> 1 }, { (void *)~0UL, 1 }, { (void *)~0UL, 0 },
		{ (void *)(~0UL << 12), 10 }, { hole + 4096 - 10, 100 }, { hole + 4096, 10 },
	};
	int kind, op, i, j;

	ASSERT_NE(MAP_FAILED, hole);
	ASSERT_EQ(0, munmap(hole + 4096, 4096));
	for (i = 0; i < 1025; i++)
		many[i] = (struct iovec) { buffer + i, 1 };
	for (kind = 0; kind < KINDS; kind++) {
		for (op = MEMSCOPE_CALL_READ; op <= MEMSCOPE_CALL_WRITE; op++) {
			static const __u32 counts[] = { 0, 1, 8, 9, 1024, 1025, 65536 };
			struct what w = { op, 0, many, 0, -1 };

			for (i = 0; i < ARRAY_LEN(counts); i++) {
				w.iovcnt = counts[i];
				compare(_metadata, kind, &w);
			}
			for (i = 0; i < ARRAY_LEN(base); i++) {
				for (j = 0; j <= ARRAY_LEN(base); j++) {
					struct iovec iov[2] = { base[i] };

					if (j < ARRAY_LEN(base))
						iov[1] = base[j];
					w.iov = iov;
					w.iovcnt = 1 + (j < ARRAY_LEN(base));
					compare(_metadata, kind, &w);
				}
			}
			w.iov = (void *)(hole + 4096 - sizeof(struct iovec));
			w.iovcnt = 2;
			compare(_metadata, kind, &w);
			w.iov = NULL;
			compare(_metadata, kind, &w);
			w.iov = (void *)~0UL;
			compare(_metadata, kind, &w);
		}
	}
	munmap(hole, 4096);
	munmap(hole + 8192, 4096);
}

/* Rule: FSYNC is fsync() and fdatasync(), FALLOCATE fallocate(), with every mode. */
TEST_F(call, others)
{
	static const __s64 lens[] = { 0, 1, 4096, -1, 0x7fffffffffffffffLL, 1LL << 32 };
	int kind, bit, i, j;

	for (kind = 0; kind < KINDS; kind++) {
		struct what w = { MEMSCOPE_CALL_FSYNC };

		compare(_metadata, kind, &w);
		w.flags = MEMSCOPE_FSYNC_DATASYNC;
		compare(_metadata, kind, &w);
		w.op = MEMSCOPE_CALL_FALLOCATE;
		for (bit = -1; bit < 64; bit++) {
			w.flags = bit < 0 ? 0 : 1U << bit % 32 | (bit >= 32);
			w.offset = 4096;
			w.len = 4096;
			compare(_metadata, kind, &w);
		}
		w.flags = 0;
		for (i = 0; i < ARRAY_LEN(offsets); i++) {
			for (j = 0; j < ARRAY_LEN(lens); j++) {
				/* The file is not to fill the memory. */
				if (offsets[i] == 0 && lens[j] == 1LL << 32)
					continue;
				w.offset = offsets[i];
				w.len = lens[j];
				if (offsets[i] >= 0 && lens[j] == 1LL << 32)
					w.flags = 0x80000000;
				compare(_metadata, kind, &w);
				w.flags = 0;
			}
		}
	}
}

/* Rule: of a range as well; a range that is none is EINVAL. */
TEST_F(call, fsync_range)
{
	static const struct { __s64 offset, len; long ret; } cases[] = {
		{ 0, 0, 0 }, { 0, 1, 0 }, { 4096, 4096, 0 }, { 1LL << 40, 0, 0 },
		{ 0, 0x7fffffffffffffffLL, 0 }, { 1, 0x7fffffffffffffffLL, 0 },
		{ 2, 0x7fffffffffffffffLL, -EINVAL }, { 0x7fffffffffffffffLL, 1, 0 },
		{ 0x7fffffffffffffffLL, 2, -EINVAL }, { -1, 0, -EINVAL }, { 0, -1, -EINVAL },
	};
	struct file f;
	int i;

	ASSERT_EQ(0, file_open(&f, REGULAR));
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		struct what w = { .op = MEMSCOPE_CALL_FSYNC, .offset = cases[i].offset,
				  .len = cases[i].len };

		EXPECT_EQ(cases[i].ret, under(f.fd, &w, NOIO));
	}
	file_close(&f);
}

/* Rule: limits and signals are those of the plain call. */
TEST_F(call, file_size_limit)
{
	struct rlimit old, limit;
	struct iovec iov = { buffer, 1000 };
	struct what w = { MEMSCOPE_CALL_WRITE, 0, &iov, 1, SIZE };

	ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &old));
	limit = (struct rlimit) { SIZE + 10, old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	compare(_metadata, REGULAR, &w);
	w.offset = SIZE + 10;
	compare(_metadata, REGULAR, &w);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &old));
}

/* Rule: what was read and written is accounted to the thread. */
static long io_field(const char *name)
{
	char line[100];
	long value = -1;
	FILE *f = fopen("/proc/thread-self/io", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name) + 1);
	}
	if (f)
		fclose(f);
	return value;
}

TEST_F(call, accounting)
{
	struct iovec iov = { buffer, 1234 };
	struct what w = { MEMSCOPE_CALL_WRITE, 0, &iov, 1, -1 };
	long before = io_field("wchar:");

	ASSERT_LE(0, before);
	ASSERT_EQ(1234, under(self->pipe_fd[1], &w, NOIO));
	EXPECT_EQ(before + 1234, io_field("wchar:"));
}

TEST_HARNESS_MAIN
