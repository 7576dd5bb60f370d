// SPDX-License-Identifier: GPL-2.0

//! Work that runs under the scopes of the context that submits it.
//!
//! A worker thread has none of its submitter's scopes. Who submits decides; the worker runs under
//! what was captured.

use super::{boundary, capture, MemallocScope};
use crate::kapi::workqueue::OwnedQueue;
use kernel::{alloc, prelude::*};

/// Runs `f` on `queue` under the scopes that the current task is in now.
///
/// Allocates the work item with `flags`. Dropping the queue waits for it.
///
/// # Errors
///
/// `ENOMEM` if the item cannot be allocated; `f` is dropped then.
pub(crate) fn try_spawn<F>(queue: &OwnedQueue, flags: alloc::Flags, f: F) -> Result
where
    F: FnOnce(&mut MemallocScope<'_>) + Send + 'static,
{
    let kinds = capture();
    queue.try_spawn(flags, move || boundary(|cx| cx.with(kinds, f)))?;
    Ok(())
}
