# shellcheck shell=bash disable=SC2154
# At least a million operations from 4 threads over 6 clients.

both stress_million $((280 * slow)) "stress dev=/dev/ram0 dev=/dev/ram1 clients=6 threads=4 ops=${BUFIO_STRESS_OPS:-1000000} bytes=4194304 limit=4194304 seconds=$((270 * slow))"
