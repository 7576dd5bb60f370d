/* SPDX-License-Identifier: GPL-2.0 */
/* The commands of /dev/bufio_faults; the argument is an operation's number, of READ a block's. */
#ifndef BUFIO_FAULTS_H
#define BUFIO_FAULTS_H

#include <linux/ioctl.h>

#define BUFIO_FAULTS_COUNT	_IO('f', 0)	/* returns how many there are */
#define BUFIO_FAULTS_PREPARE	_IO('f', 1)
#define BUFIO_FAULTS_ACT	_IO('f', 2)
#define BUFIO_FAULTS_JUDGE	_IO('f', 3)
#define BUFIO_FAULTS_READ	_IO('f', 4)	/* whether it has what PREPARE wrote there */

/* Or'ed to the number for JUDGE: it was the device that failed. */
#define BUFIO_FAULTS_DEVICE	0x100

#endif
