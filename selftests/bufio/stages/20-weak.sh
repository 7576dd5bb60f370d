# shellcheck shell=bash
# Weak points that need more than the gate's device.

both w1_limit 120 "w1_limit dev=/dev/ram0 limit=4194304 blocks=20000"

# With fault injection: writers that have nothing but what their client keeps for them.
faults=/sys/kernel/debug
if [ -e "$faults/fail_mempool_alloc" ]; then
	bvecs=/sys/kernel/slab/biovec-max/failslab
	for f in failslab fail_mempool_alloc fail_page_alloc; do
		echo Y >"$faults/$f/task-filter"
		echo -1 >"$faults/$f/times"
		echo 0 >"$faults/$f/verbose"
		echo 100 >"$faults/$f/probability"
	done
	echo 1 >"$bvecs"
	echo Y >"$faults/failslab/cache-filter"
	echo N >"$faults/failslab/ignore-gfp-wait"
	for f in wait highmem; do echo N >"$faults/fail_page_alloc/ignore-gfp-$f"; done
	both large_without_memory 300 "large_without_memory dev=/dev/ram0"
	for f in failslab fail_mempool_alloc fail_page_alloc; do echo 0 >"$faults/$f/probability"; done
	echo N >"$faults/failslab/cache-filter"
	echo 0 >"$bvecs"
fi
