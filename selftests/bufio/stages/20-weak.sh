# shellcheck shell=bash
# Weak points that need more than the gate's device.

both w1_limit 120 "w1_limit dev=/dev/ram0 limit=4194304 blocks=20000"

# With fault injection: writers that have nothing but what their client keeps for them.
faults=/sys/kernel/debug
if [ -e "$faults/fail_mempool_alloc" ]; then
	bvecs=/sys/kernel/slab/biovec-max/failslab
	# set_fault NAME VALUE: as it was again, afterwards.
	before=()
	set_fault() {
		before+=("$1" "$(cat "$1")")
		echo "$2" >"$1"
	}
	for f in failslab fail_mempool_alloc fail_page_alloc; do
		set_fault "$faults/$f/task-filter" Y
		set_fault "$faults/$f/times" -1
		set_fault "$faults/$f/verbose" 0
	done
	set_fault "$bvecs" 1
	set_fault "$faults/failslab/cache-filter" Y
	set_fault "$faults/failslab/ignore-gfp-wait" N
	for f in wait highmem; do set_fault "$faults/fail_page_alloc/ignore-gfp-$f" N; done
	for f in failslab fail_mempool_alloc fail_page_alloc; do set_fault "$faults/$f/probability" 100; done
	both large_without_memory 300 "large_without_memory dev=/dev/ram0"
	while [ ${#before[@]} -gt 0 ]; do
		echo "${before[-1]}" >"${before[-2]}"
		before=("${before[@]:0:${#before[@]}-2}")
	done
fi
