// SPDX-License-Identifier: GPL-2.0

//! Generated bindings: the project's own headers and helpers.
//!
//! Types of the kernel are those of `kernel::bindings`. Used only by the layers that may be
//! unsafe: `kapi` and `capi`.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports
)]

pub(crate) use kernel::bindings::*;
use kernel::ffi;

include!(concat!(
    env!("MEMSCOPE_OBJ"),
    "/rust/bindings/bindings_generated.rs"
));
