// SPDX-License-Identifier: GPL-2.0
#include "dm-ebs-target.c"
