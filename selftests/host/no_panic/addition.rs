// SPDX-License-Identifier: GPL-2.0

//! What `no_panic` must find.

#![no_std]

#[no_mangle]
pub fn add(a: u32, b: u32) -> u32 {
    a + b
}
