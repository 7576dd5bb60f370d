// SPDX-License-Identifier: GPL-2.0
/*
 * That the probes, which are in Rust, have the signatures of the tracepoints of
 * the kernel that this is built for.
 */

#include <trace/events/kmem.h>
#include <trace/events/vmscan.h>
#include <trace/events/writeback.h>

#include "helpers.h"

static void __maybe_unused check_probes(void)
{
	check_trace_callback_type_mm_vmscan_direct_reclaim_begin(memscope_probe_reclaim_begin);
	check_trace_callback_type_mm_vmscan_direct_reclaim_end(memscope_probe_reclaim_end);
#ifdef CONFIG_MEMCG
	check_trace_callback_type_mm_vmscan_memcg_reclaim_begin(memscope_probe_reclaim_begin);
	check_trace_callback_type_mm_vmscan_memcg_reclaim_end(memscope_probe_reclaim_end);
#endif
	check_trace_callback_type_balance_dirty_pages(memscope_probe_balance_dirty_pages);
	check_trace_callback_type_mm_page_alloc(memscope_probe_page_alloc);
}
