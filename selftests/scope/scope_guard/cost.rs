// SPDX-License-Identifier: GPL-2.0

//! What a guard costs. Under QEMU's `-icount shift=0` a nanosecond is an instruction.

use crate::scope::{boundary, Kinds};
use core::{
    hint::black_box,
    sync::atomic::{compiler_fence, Ordering},
};
use kernel::{
    prelude::*,
    time::{Instant, Monotonic},
};

/// The scope's body: what `barrier()` is in C. The guard itself may stay in registers.
fn barrier() {
    compiler_fence(Ordering::SeqCst);
}

const ITERATIONS: u32 = 1000;
const TRIES: u32 = 20;

/// The smallest of several times, so that none with an interrupt in it counts.
fn smallest(mut f: impl FnMut()) -> isize {
    let mut best = i64::MAX;
    for _ in 0..TRIES {
        let start = Instant::<Monotonic>::now();
        for _ in 0..ITERATIONS {
            f();
            barrier();
        }
        best = best.min(start.elapsed().as_nanos());
    }
    best as isize
}

/// Nanoseconds of 1,000 times entering and leaving `kinds`.
pub(crate) fn guard(kinds: usize) -> Result<isize> {
    let constant = kinds as u32 == Kinds::NOIO.bits();
    Ok(boundary(|cx| {
        if constant {
            // As it is written in code: the kind is known when it is compiled.
            smallest(|| {
                let _scope = cx.noio();
                barrier();
            })
        } else {
            let kinds = Kinds::from_bits_truncate(kinds as u32);
            smallest(|| {
                let _scope = cx.enter(black_box(kinds));
                barrier();
            })
        }
    }))
}

/// Nanoseconds of the loop alone.
pub(crate) fn empty(_: usize) -> Result<isize> {
    Ok(smallest(barrier))
}
