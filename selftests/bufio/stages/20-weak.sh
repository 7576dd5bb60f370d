# shellcheck shell=bash
# Weak points that need more than the gate's device.

both w1_limit 120 "w1_limit dev=/dev/ram0 limit=4194304 blocks=20000"
