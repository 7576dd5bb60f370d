// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sets of scopes.

use std::{fmt, str::FromStr};

bitflags::bitflags! {
    /// What memory reclaim must not do on behalf of a thread.
    ///
    /// Displayed and parsed as names with commas between them; `none` is the empty set.
    ///
    /// ```
    /// use memscope::Scopes;
    ///
    /// let scopes: Scopes = "noio,local-throttle".parse()?;
    /// assert_eq!(scopes, Scopes::IO_FLUSHER);
    /// assert_eq!("io-flusher".parse(), Ok(scopes));
    /// assert_eq!(scopes.to_string(), "noio,local-throttle");
    /// # Ok::<(), memscope::ParseScopesError>(())
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Scopes: u32 {
        /// Reclaim starts no I/O and enters no filesystem.
        const NOIO = 1 << 0;
        /// Reclaim enters no filesystem. It may still start I/O, for instance write to swap.
        const NOFS = 1 << 1;
        /// Buffered writes are throttled by the dirty pages of the device that they go to, not by
        /// those of others.
        const LOCAL_THROTTLE = 1 << 2;
        /// What `prctl(PR_SET_IO_FLUSHER, 1)` sets: for a daemon that serves a block device.
        const IO_FLUSHER = Self::NOIO.bits() | Self::LOCAL_THROTTLE.bits();
        /// The same for a daemon that serves a filesystem, and not the swap device.
        const FS_FLUSHER = Self::NOFS.bits() | Self::LOCAL_THROTTLE.bits();
    }
}

const NAMES: [(&str, Scopes); 5] = [
    ("noio", Scopes::NOIO),
    ("nofs", Scopes::NOFS),
    ("local-throttle", Scopes::LOCAL_THROTTLE),
    ("io-flusher", Scopes::IO_FLUSHER),
    ("fs-flusher", Scopes::FS_FLUSHER),
];

impl Scopes {
    /// The scopes in the flags of a task, as in field 9 of `/proc/PID/stat`.
    ///
    /// The bits are those of the kernel's `include/linux/sched.h`, the same in every kernel that
    /// has had `PR_SET_IO_FLUSHER`; they are not promised to user space.
    #[must_use]
    pub fn from_task_flags(flags: u32) -> Self {
        let mut scopes = Self::empty();
        for (flag, scope) in [
            (0x0004_0000, Self::NOFS),
            (0x0008_0000, Self::NOIO),
            (0x0010_0000, Self::LOCAL_THROTTLE),
        ] {
            if flags & flag != 0 {
                scopes |= scope;
            }
        }
        scopes
    }

    /// The names of the single scopes in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES[..3]
            .iter()
            .filter(move |(_, scope)| self.contains(*scope))
            .map(|(name, _)| *name)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.pad("none");
        }
        f.pad(&self.names().collect::<Vec<_>>().join(","))
    }
}

/// A name that is not that of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScopesError(String);

impl fmt::Display for ParseScopesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is no scope; use a list with commas of noio, nofs, local-throttle, io-flusher, \
             fs-flusher, or none",
            self.0
        )
    }
}

impl std::error::Error for ParseScopesError {}

impl FromStr for Scopes {
    type Err = ParseScopesError;

    fn from_str(list: &str) -> Result<Self, ParseScopesError> {
        if list == "none" {
            return Ok(Self::empty());
        }
        list.split(',').try_fold(Self::empty(), |set, name| {
            NAMES
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, scope)| set | *scope)
                .ok_or_else(|| ParseScopesError(name.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every set is read back from what it is displayed as.
    #[test]
    fn display_and_parse_are_inverse() {
        for bits in 0..=Scopes::all().bits() {
            let set = Scopes::from_bits(bits).unwrap();
            assert_eq!(set.to_string().parse(), Ok(set));
        }
    }

    /// What is not a name is refused, an empty one included, and the message names it.
    #[test]
    fn unknown_names_are_refused() {
        for bad in ["", "noio,", "NOIO", "noio nofs", "none,noio", "memalloc"] {
            let error = bad.parse::<Scopes>().unwrap_err();
            assert!(
                error.to_string().contains("is no scope"),
                "{bad:?}: {error}"
            );
        }
    }

    /// Other flags of a task are no scopes: PF_MEMALLOC and its neighbours least of all.
    #[test]
    fn only_three_task_flags_are_scopes() {
        assert_eq!(Scopes::from_task_flags(0x001c_0000), Scopes::all());
        assert_eq!(Scopes::from_task_flags(!0x001c_0000), Scopes::empty());
    }
}
