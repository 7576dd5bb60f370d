# shellcheck shell=bash disable=SC2154
# Real devices: contents on each kind, then errors as each kind makes them.

modprobe -a sd_mod loop dm-flakey dm-delay dm-zero
modprobe null_blk nr_devices=1 gb=1 memory_backed=1
modprobe scsi_debug dev_size_mb=64 opts=0 delay=0 lbpu=1
for _ in $(seq 100); do
	sdev=$(basename "$(echo /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*)")
	[ -b "/dev/$sdev" ] && break
	sleep 0.1
done
truncate -s 64M "$work/image"
lo=$(losetup -f --show "$work/image")
size=$(blockdev --getsz /dev/ram1)
dmsetup create bt-flakey --table "0 $size flakey /dev/ram1 0 3600 0"
dmsetup create bt-delay --table "0 $size delay /dev/ram2 0 2"
dmsetup create bt-linear --table "0 $size linear /dev/ram3 0"
# Sectors 65536 to 69631 fail, behind what the random operations use.
dmsetup create bt-error --table "0 65536 linear /dev/ram4 0
65536 4096 error
69632 $((size - 69632)) linear /dev/ram4 69632"
# And 65536 to 65543.
insmod "$modules/../targets/dm-dust.ko"
dmsetup create bt-dust --table "0 $size dust /dev/ram5 0 512"
for s in $(seq 65536 65543); do dmsetup message bt-dust 0 addbadblock "$s"; done >/dev/null
dmsetup message bt-dust 0 enable
dmsetup create bt-eread --table "0 $size flakey /dev/ram5 0 0 3600 1 error_reads"
dmsetup create bt-ewrite --table "0 $size flakey /dev/ram5 0 0 3600 1 error_writes"
dmsetup mknodes

for d in brd:/dev/ram1 null_blk:/dev/nullb0 loop:"$lo" dm-flakey:/dev/mapper/bt-flakey \
	dm-delay:/dev/mapper/bt-delay dm-linear:/dev/mapper/bt-linear dm-error:/dev/mapper/bt-error \
	dm-dust:/dev/mapper/bt-dust scsi_debug:"/dev/$sdev"; do
	both "stress_${d%%:*}" 120 "stress dev=${d#*:} clients=3 bytes=1048576 limit=524288 ops=4000"
done
# The block-size case needs no gate: any device below it will do.
both block_sizes_null_blk 60 "block_sizes dev=/dev/nullb0"
both block_sizes_scsi_debug 60 "block_sizes dev=/dev/$sdev"
both device_error_dm_error 60 "device_error dev=/dev/mapper/bt-error bad=65536 rw=3 alone=1"
both device_error_flakey_read 60 "device_error dev=/dev/mapper/bt-eread bad=0 rw=1 alone=1"
both device_error_flakey_write 60 "device_error dev=/dev/mapper/bt-ewrite bad=0 rw=2 alone=1"
# scsi_debug: reads of sectors 0x1234 to 0x123d have a medium error (opts 2).
echo 2 >/sys/bus/pseudo/drivers/scsi_debug/opts
both device_error_scsi_debug 60 "device_error dev=/dev/$sdev bad=4664 rw=1"
echo 0 >/sys/bus/pseudo/drivers/scsi_debug/opts
both device_error_dm_dust 60 "device_error dev=/dev/mapper/bt-dust bad=65536 rw=1"
# The last: the module keeps a case's devices open up to the next case.
both write_dirty_loop 60 "write_dirty dev=$lo"

for d in flakey delay linear error eread ewrite dust; do dmsetup remove "bt-$d"; done
losetup -d "$lo"
rmmod null_blk scsi_debug dm-dust
