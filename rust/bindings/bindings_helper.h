/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen. Constants that are casts or compound expressions in C get a
 * name here; the build strips the RUST_CONST_HELPER_ prefix.
 */

#include <linux/gfp.h>
#include <linux/sched.h>

#include <linux/memscope-bufio.h>
#include <linux/memscope.h>
#include <uapi/linux/memscope.h>

#include "../helpers/bufio.h"
#include "../helpers/helpers.h"

const gfp_t RUST_CONST_HELPER_GFP_NOIO = GFP_NOIO;
const gfp_t RUST_CONST_HELPER_GFP_NOFS = GFP_NOFS;
const gfp_t RUST_CONST_HELPER___GFP_RECLAIM = __GFP_RECLAIM;
const gfp_t RUST_CONST_HELPER___GFP_KSWAPD_RECLAIM = __GFP_KSWAPD_RECLAIM;
const gfp_t RUST_CONST_HELPER___GFP_NORETRY = __GFP_NORETRY;
const gfp_t RUST_CONST_HELPER___GFP_RETRY_MAYFAIL = __GFP_RETRY_MAYFAIL;
const gfp_t RUST_CONST_HELPER___GFP_NOFAIL = __GFP_NOFAIL;
const gfp_t RUST_CONST_HELPER___GFP_MEMALLOC = __GFP_MEMALLOC;
const gfp_t RUST_CONST_HELPER___GFP_COMP = __GFP_COMP;
const gfp_t RUST_CONST_HELPER___GFP_NOMEMALLOC = __GFP_NOMEMALLOC;

const unsigned int RUST_CONST_HELPER_PF_NOWAIT = MEMSCOPE_PF_NOWAIT;

const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_SET_IO_FLUSHER = MEMSCOPE_IOC_SET_IO_FLUSHER;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_GET_IO_FLUSHER = MEMSCOPE_IOC_GET_IO_FLUSHER;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_SET_SCOPES = MEMSCOPE_IOC_SET_SCOPES;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_GET_SCOPES = MEMSCOPE_IOC_GET_SCOPES;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_GET_FEATURES = MEMSCOPE_IOC_GET_FEATURES;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_MARK = MEMSCOPE_IOC_MARK;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_SUSPEND = MEMSCOPE_IOC_SUSPEND;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOC_RESUME = MEMSCOPE_IOC_RESUME;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOCSIZE_MASK = IOCSIZE_MASK;
const unsigned int RUST_CONST_HELPER_MEMSCOPE_IOCSIZE_SHIFT = IOCSIZE_SHIFT;
