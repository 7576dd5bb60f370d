// SPDX-License-Identifier: GPL-2.0

//! What `no_panic` must find.

#![no_std]

#[no_mangle]
pub fn get(a: &[u32], b: usize) -> u32 {
    a[b]
}
