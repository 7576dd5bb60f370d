// SPDX-License-Identifier: GPL-2.0
/*
 * Two of the module beside each other: refused, whatever the second is called.
 *
 * selftest: timeout=60
 */
#include "kselftest_harness.h"

#include <elf.h>

#include "../flusher/mark.h"
#include "../flusher/module.h"

FIXTURE(twice) {
	int unused;
};

FIXTURE_SETUP(twice)
{
	/* As a package would install it; else most of the time is for reading it. */
	ASSERT_EQ(0, system("strip --strip-debug -o /tmp/memscope-twice.ko \"$MEMSCOPE_KO\""));
	setenv("MEMSCOPE_KO", "/tmp/memscope-twice.ko", 1);
}

FIXTURE_TEARDOWN(twice)
{
	if (!module_loaded())
		EXPECT_EQ(0, module_insert());
}

/* Overwrites the name in a section; 0 if it was there. */
static int rename_in(char *elf, const char *section, const char *from, const char *to)
{
	Elf64_Ehdr *head = (Elf64_Ehdr *)elf;
	Elf64_Shdr *sections = (Elf64_Shdr *)(elf + head->e_shoff);
	const char *names = elf + sections[head->e_shstrndx].sh_offset;
	char *at;
	int i;

	for (i = 0; i < head->e_shnum; i++) {
		if (strcmp(names + sections[i].sh_name, section))
			continue;
		at = memmem(elf + sections[i].sh_offset, sections[i].sh_size, from,
			    strlen(from) + 1);
		if (!at)
			return -1;
		memcpy(at, to, strlen(to));
		return 0;
	}
	return -1;
}

static int insert_image(const char *elf, size_t size)
{
	return syscall(SYS_init_module, elf, size, "") ? -errno : 0;
}

/* Rule: a second one beside the first is refused, under the same name and under another. */
TEST_F(twice, side_by_side)
{
	int fd = open(ko_path(), O_RDONLY | O_CLOEXEC), dev;
	struct stat st;
	char *elf;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	elf = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, elf);
	EXPECT_EQ(-EEXIST, insert_image(elf, st.st_size));
	ASSERT_EQ(0, rename_in(elf, ".gnu.linkonce.this_module", "memscope", "memscop2"));
	ASSERT_EQ(0, rename_in(elf, ".modinfo", "name=memscope", "name=memscop2"));
	EXPECT_EQ(-ENOEXEC, insert_image(elf, st.st_size));
	EXPECT_NE(0, access("/sys/module/memscop2", F_OK));
	/* The first is not disturbed. */
	dev = open_device();
	ASSERT_LE(0, dev);
	EXPECT_EQ(0, hold(dev, NOIO));
	close(dev);
	/* Control: alone, the other one is taken. */
	ASSERT_EQ(0, module_remove());
	EXPECT_EQ(0, insert_image(elf, st.st_size));
	EXPECT_EQ(0, system("rmmod memscop2"));
}

TEST_HARNESS_MAIN
