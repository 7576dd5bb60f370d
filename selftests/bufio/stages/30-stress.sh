# shellcheck shell=bash disable=SC2154
# A million operations from 4 threads over 6 clients; as many fewer on the sanitizer
# kernel as it is slower, so that its whole suite ends in an hour.

both stress_million $((280 * slow)) "stress dev=/dev/ram0 dev=/dev/ram1 clients=6 threads=4 ops=$((1000000 / slow)) bytes=4194304 limit=4194304 seconds=$((270 * slow))"
