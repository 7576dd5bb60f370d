// SPDX-License-Identifier: GPL-2.0
/* Where memscope is meant to differ from dm-bufio. Anything else is a bug. */

#include "bufio_test.h"

#define W3	"W3: a failed prefetch leaves nothing behind"
#define W4	"W4: no wait for I/O with the client's lock held"
#define KEEP	"a failed write keeps its data, which is written again"

const struct bt_intended bt_intended[] = {
	{ "create_args.unknown_flag", -EINVAL, "flags that are not known are refused" },
	{ "dirty_partial.cut_first", 4, "rounded to blocks of the device, not of the buffer" },
	{ "dirty_partial.cut_sectors", 8, "rounded to blocks of the device, not of the buffer" },
	{ "prefetch_error.get", 0, W3 },
	{ "prefetch_error.read", 1, W3 },
	{ "prefetch_error.reads", 2, W3 },
	{ "prefetch_error.new", 0, W3 },
	{ "write_error.on_disk", 1, KEEP },
	{ "write_error.second_read", 1, KEEP },
	{ "write_error_lasting.again", -EIO, KEEP },
	{ "write_error_lasting.on_disk", 1, KEEP },
	{ "write_error_reset.dropped", 1, KEEP },
	{ "write_error_destroy.logged", 1, "W10: lost data is in the kernel log" },
	{ "w1_limit.idle_over_limit", 0, "W1: the limit holds beside an idle client" },
	{ "w4_wait.read_miss_goes_on", 1, W4 },
	{ "w4_wait.mark_of_dirty_goes_on", 1, "W5: no lock for a buffer that is dirty" },
	{ "w4_wait.forget_goes_on", 1, W4 },
	{ "w6_shrink.reported_too_many", 0, "W6: the shrinker reports what was freed" },
	{ "w7_lost_wake.wake_up_lost", 0, "W7: no lost wake-ups" },
	{ "w8_minimum.kept", 1, "W8: the minimum is kept" },
	{ "write_back_age.written", 1, "dirty data is written at writeback_age_ms" },
	{ "merging.a_bio_a_block", 0, "adjacent blocks share a bio" },
	{ "merging.a_bio_a_prefetch", 0, "adjacent blocks share a bio" },
	{ "wrong_range.empty_kills", 0, "a wrong range warns and does nothing" },
	{ "wrong_range.end_kills", 0, "a wrong range warns and does nothing" },
	{ "wrong_range.order_kills", 0, "a wrong range warns and does nothing" },
	{ "double_release.kills", 0, "a second release warns and does nothing" },
};

const unsigned int bt_nr_intended = ARRAY_SIZE(bt_intended);
