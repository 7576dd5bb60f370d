#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# selftest-helper: sourced by the tests of this folder that use lvm2.
#
# There is no udev, and nothing here belongs to the machine.

cat >/etc/lvm/lvm.conf <<'END'
devices { use_devicesfile=0 external_device_info_source="none" obtain_device_list_from_udev=0 filter=["a|^/dev/ram[0-3]$|", "a|^/dev/mapper/data$|", "r|.*|"] scan_lvs=0 issue_discards=0 }
activation { udev_sync=0 udev_rules=0 monitoring=0 }
backup { backup=0 archive=0 }
global { use_lvmpolld=0 use_lvmlockd=0 event_activation=0 notify_dbus=0 }
END

# volume_group [DEVICE...]: vg, of two RAM disks by default.
volume_group() {
	[ $# -gt 0 ] || set -- /dev/ram0 /dev/ram1
	lvm pvcreate -qq -ff -y "$@" && lvm vgcreate -qq -s 1m vg "$@"
}
tidy_lvm() { lvm vgchange -qq -an vg; }
