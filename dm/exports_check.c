// SPDX-License-Identifier: GPL-2.0
/*
 * Fails to assemble where the kernel's own entry of a table of exports is not
 * three references, of which memscope-dm-bufio.c makes its own. Compiled, not
 * linked into anything.
 */

#include <linux/export-internal.h>

static void __used checked(void)
{
}

KSYMTAB_FUNC(checked, "");

asm("	.section \"___ksymtab+checked\", \"a\""			"\n"
    "three_references:"						"\n"
	__KSYM_REF(checked)					"\n"
	__KSYM_REF(checked)					"\n"
	__KSYM_REF(checked)					"\n"
    "	.if (three_references - __ksymtab_checked) - (. - three_references)"	"\n"
    "	.error \"struct kernel_symbol is another than memscope-dm-bufio.c makes\""	"\n"
    "	.endif"							"\n"
    "	.previous"						"\n");
