// SPDX-License-Identifier: MIT OR Apache-2.0

//! Client of `/dev/memscope`: for daemons that serve a block device or a filesystem from user
//! space.
//!
//! A thread of such a daemon must not wait, in memory reclaim, for I/O to what it serves itself.
//! With scopes it tells the kernel what reclaim must not do on its behalf.
//!
//! - [`Client`] marks the calling thread, for good or as long as a [`Guard`] lives. It falls back
//!   to `prctl(PR_SET_IO_FLUSHER)` where there is no `/dev/memscope`.
//! - [`Device`] does the rest: [whole processes](Device::hold) and [others](Device::mark),
//!   [leaving for a while](Device::suspend), [single calls](Device::read),
//!   [delegation](Device::delegate) and [who is marked](Device::status).
//!
//! A daemon with threads that come and go is best marked as a whole, once:
//!
//! ```
//! use memscope::{Client, Device, Mark, Scopes};
//!
//! # fn main() -> Result<(), memscope::Error> {
//! // Keep this as long as the daemon serves. Ends by itself when the daemon does.
//! let hold = Device::open().and_then(|d| d.hold(&Mark::process(Scopes::IO_FLUSHER)));
//! if let Err(e) = &hold {
//!     eprintln!("warning: {e}");
//!     // Without the module: this thread, and those that it creates from now on.
//!     if let Err(e) = Client::new().add(Scopes::IO_FLUSHER) {
//!         eprintln!("warning: {e}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Where a guard is used, it belongs to its thread and does not compile elsewhere:
//!
//! ```compile_fail,E0277
//! let client: &'static memscope::Client = Box::leak(Box::new(memscope::Client::new()));
//! let guard = client.enter(memscope::Scopes::NOIO).unwrap();
//! std::thread::spawn(move || drop(guard));
//! ```
//!
//! System calls go through `rustix`; the C library's headers are not needed.

mod call;
mod client;
mod device;
mod error;
mod mark;
mod status;
mod sys;

pub use call::Position;
pub use client::{current, scopes_of_stat, Client, Guard};
pub use device::{Delegation, Device, Features, Hold, Suspended};
pub use error::{Error, ErrorKind, Result};
pub use mark::{Mark, Outcome};
pub use scopes::{ParseScopesError, Scopes};
pub use status::{Counters, Entry, EntryFlags, How, Status};

mod scopes;
