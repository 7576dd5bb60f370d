/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commands of /dev/bufio_faults; the argument is the number of the operation,
 * or'ed with what its client is and, for JUDGE, with what failed. Of READ it is a
 * block's.
 */
#ifndef BUFIO_FAULTS_H
#define BUFIO_FAULTS_H

#include <linux/ioctl.h>

#define BUFIO_FAULTS_COUNT	_IO('f', 0)	/* returns how many there are */
#define BUFIO_FAULTS_PREPARE	_IO('f', 1)
#define BUFIO_FAULTS_ACT	_IO('f', 2)
#define BUFIO_FAULTS_JUDGE	_IO('f', 3)
#define BUFIO_FAULTS_READ	_IO('f', 4)	/* whether it has what PREPARE wrote there */
/* Returns how many reserves came from vmalloc, adjacent pages not being there. */
#define BUFIO_FAULTS_FALLBACKS	_IO('f', 5)

#define BUFIO_FAULTS_OPERATION	0xff

/* It was the device that failed. */
#define BUFIO_FAULTS_DEVICE	0x100

/* The client, PREPARE to JUDGE: MEMSCOPE_BUFIO_CLIENT_* and the size of a block; 0 is 4096. */
#define BUFIO_FAULTS_ALL_FLAGS	0x7
#define BUFIO_FAULTS_CLIENT(bytes, flags)	((bytes) / 512 << 16 | (flags) << 12)
#define BUFIO_FAULTS_BYTES(arg)	((arg) >> 16 ? ((arg) >> 16) * 512 : 4096)
#define BUFIO_FAULTS_FLAGS(arg)	((arg) >> 12 & 0xf)

#endif
