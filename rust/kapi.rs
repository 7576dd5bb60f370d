// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers of kernel C interfaces that the `kernel` crate does not have, one concept a file.

pub(crate) mod atomic;
pub(crate) mod bdev;
pub(crate) mod bio;
pub(crate) mod block_mem;
pub(crate) mod block_node;
pub(crate) mod callback;
pub(crate) mod clock;
pub(crate) mod counters;
mod current;
pub(crate) mod debugfs;
pub(crate) mod dm_io;
pub(crate) mod file_call;
pub(crate) mod gfp;
pub(crate) mod later;
pub(crate) mod miscdev;
pub(crate) mod once;
pub(crate) mod params;
pub(crate) mod pid;
pub(crate) mod rcu_table;
pub(crate) mod reclaim_events;
pub(crate) mod seq;
pub(crate) mod shrinker;
pub(crate) mod task;
pub(crate) mod task_events;
pub(crate) mod task_map;
pub(crate) mod task_work;
pub(crate) mod thread;
pub(crate) mod wait;
pub(crate) mod word;
pub(crate) mod workqueue;
