// SPDX-License-Identifier: GPL-2.0

//! What the tests assert with, and the task's flags as the kernel has them.

use crate::bindings;
use kernel::{alloc::AllocError, current, fmt, prelude::*};

/// Where a test failed, and on what.
pub(crate) enum Failure {
    /// A condition was false.
    Check(u32, &'static str),
    /// Two numbers differ.
    Differ(u32, &'static str, u64, u64),
    /// The kernel had an error for the test.
    Errno(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Errno(e)
    }
}

impl From<AllocError> for Failure {
    fn from(e: AllocError) -> Self {
        Self::Errno(e.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(line, what) => write!(f, "line {line}: not {what}"),
            Self::Differ(line, what, a, b) => write!(f, "line {line}: {what}: {a:#x}, {b:#x}"),
            Self::Errno(e) => write!(f, "errno {}", e.to_errno()),
        }
    }
}

/// What a test returns.
pub(crate) type TestResult = core::result::Result<(), Failure>;

/// Fails the test if the condition is false.
macro_rules! check {
    ($cond:expr) => {
        if !$cond {
            return Err($crate::testing::Failure::Check(line!(), stringify!($cond)));
        }
    };
}

/// Fails the test if two integers differ.
macro_rules! check_eq {
    ($a:expr, $b:expr) => {
        match (u64::from($a), u64::from($b)) {
            (a, b) if a == b => (),
            (a, b) => {
                return Err($crate::testing::Failure::Differ(
                    line!(),
                    stringify!($a == $b),
                    a,
                    b,
                ))
            }
        }
    };
}

pub(crate) use {check, check_eq};

/// All of `current->flags`, not through the code under test.
pub(crate) fn task_flags() -> u32 {
    // SAFETY: The current task exists while it runs, and only it writes this word.
    unsafe { (*current!().as_ptr()).flags }
}

/// Runs `test`; it fails too if the task's flags are not as before.
pub(crate) fn run(test: fn() -> TestResult) -> TestResult {
    let before = task_flags();
    test()?;
    check_eq!(task_flags(), before);
    Ok(())
}

/// The flags that a kind sets.
pub(crate) const PF_NOIO: u32 = bindings::PF_MEMALLOC_NOIO;
/// See [`PF_NOIO`].
pub(crate) const PF_NOFS: u32 = bindings::PF_MEMALLOC_NOFS;
/// See [`PF_NOIO`].
pub(crate) const PF_MEMALLOC: u32 = bindings::PF_MEMALLOC;
/// See [`PF_NOIO`].
pub(crate) const PF_PIN: u32 = bindings::PF_MEMALLOC_PIN;
