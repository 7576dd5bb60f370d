// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scopes of the calling thread, by the device or by prctl.

use crate::{
    error::{Error, Result},
    Device, Mark, Scopes,
};
use rustix::process::{configure_io_flusher_behavior, is_io_flusher};
use std::{cell::Cell, marker::PhantomData};

/// Marks threads through `/dev/memscope`, or where that cannot be opened, through
/// `prctl(PR_SET_IO_FLUSHER)` as far as that goes.
///
/// ```
/// use memscope::{Client, Scopes};
///
/// # fn main() -> Result<(), memscope::Error> {
/// let client = Client::new();
/// # if client.set(client.get().unwrap_or_default()).is_err() { return Ok(()) } // not root
/// let before = client.get()?;
/// {
///     let _guard = client.enter(Scopes::IO_FLUSHER)?;
///     // ... serve a request: no allocation starts I/O ...
///     assert!(client.get()?.contains(Scopes::IO_FLUSHER));
/// }
/// assert_eq!(client.get()?, before);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    device: std::result::Result<Device, Error>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Device> for Client {
    fn from(device: Device) -> Self {
        Self { device: Ok(device) }
    }
}

impl Client {
    /// Opens the device, if it can be; or takes the one that
    /// [systemd has opened](Device::from_systemd).
    #[must_use]
    pub fn new() -> Self {
        Self {
            device: Device::from_systemd().unwrap_or_else(Device::open),
        }
    }

    /// The device, for what only it can do.
    ///
    /// # Errors
    ///
    /// Why it could not be opened.
    pub fn device(&self) -> Result<&Device> {
        self.device.as_ref().map_err(Clone::clone)
    }

    /// The scopes of the calling thread.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_SYS_RESOURCE`. ([`current`] needs none.)
    pub fn get(&self) -> Result<Scopes> {
        match &self.device {
            Ok(device) => device.scopes(),
            Err(_) => {
                let both = is_io_flusher()
                    .map_err(|e| Error::command("read the IO_FLUSHER state by prctl", e))?;
                // The prctl does not tell of one bit without the other, nor of NOFS.
                Ok(current().unwrap_or(if both {
                    Scopes::IO_FLUSHER
                } else {
                    Scopes::empty()
                }))
            }
        }
    }

    /// Replaces the scopes of the calling thread, for good: new threads and processes inherit
    /// them, and `execve()` keeps them.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_SYS_RESOURCE`; [`NoModule`](crate::ErrorKind::NoModule) where it needs
    /// the device and there is none.
    pub fn set(&self, scopes: Scopes) -> Result<()> {
        let why = match &self.device {
            Ok(device) => return device.set_scopes(scopes),
            Err(why) => why,
        };
        let now = self.get()?;
        if scopes == now {
            return Ok(());
        }
        // All that prctl changes is these two bits together.
        let rest = |set: Scopes| set - Scopes::IO_FLUSHER;
        let part = scopes & Scopes::IO_FLUSHER;
        if rest(scopes) != rest(now) || !(part.is_empty() || part == Scopes::IO_FLUSHER) {
            return Err(Error::beyond_prctl(
                "set these scopes of the calling thread",
                Some(why),
            ));
        }
        configure_io_flusher_behavior(!part.is_empty())
            .map_err(|e| Error::command("set the IO_FLUSHER state by prctl", e))
    }

    /// Adds scopes to what the calling thread has, for good: where there is the device by a mark,
    /// of which [`Device::status`] tells who set it and when.
    ///
    /// # Errors
    ///
    /// As for [`Client::set`].
    pub fn add(&self, scopes: Scopes) -> Result<()> {
        let scopes = self.get()? | scopes;
        if let Ok(device) = &self.device {
            if device.mark(&Mark::thread(scopes)).is_ok() {
                return Ok(());
            }
        }
        // An older module, or no memory to remember it.
        self.set(scopes)
    }

    /// Adds scopes to what the calling thread has, until the guard is dropped.
    ///
    /// Guards of one thread nest and may be dropped in any order: a scope ends with the last guard
    /// that has it, and stays if the thread had it before the first. A guard that is leaked
    /// leaves the scopes in force.
    ///
    /// # Errors
    ///
    /// As for [`Client::set`]; nothing has changed then.
    pub fn enter(&self, scopes: Scopes) -> Result<Guard<'_>> {
        let mut nesting = NESTING.get();
        if nesting.depth == 0 {
            nesting.base = self.get()?;
        }
        nesting.add(scopes);
        self.set(nesting.wanted())?;
        NESTING.set(nesting);
        Ok(Guard {
            client: self,
            scopes,
            _thread: PhantomData,
        })
    }
}

/// The scopes of the calling thread as `/proc` shows them. Needs no capability and no module.
///
/// # Errors
///
/// Where `/proc` is not mounted.
pub fn current() -> std::io::Result<Scopes> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat")?;
    scopes_of_stat(&stat).ok_or_else(|| std::io::Error::other("/proc/thread-self/stat: no field 9"))
}

/// The scopes in the text of a `/proc/PID/stat` or `/proc/PID/task/TID/stat`.
#[must_use]
pub fn scopes_of_stat(stat: &str) -> Option<Scopes> {
    // The name may hold anything, parentheses and blanks too. Field 3 follows it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let flags = fields.split(' ').nth(6)?.parse().ok()?;
    Some(Scopes::from_task_flags(flags))
}

/// What the guards of a thread have in force.
#[derive(Clone, Copy, Default)]
struct Nesting {
    base: Scopes,
    depth: u32,
    // By bit of Scopes.
    counts: [u32; 3],
}

thread_local! {
    static NESTING: Cell<Nesting> = const {
        Cell::new(Nesting {
            base: Scopes::empty(),
            depth: 0,
            counts: [0; 3],
        })
    };
}

impl Nesting {
    fn each(&mut self, scopes: Scopes, change: impl Fn(&mut u32)) {
        change(&mut self.depth);
        for (bit, count) in self.counts.iter_mut().enumerate() {
            if scopes.bits() & (1 << bit) != 0 {
                change(count);
            }
        }
    }

    fn add(&mut self, scopes: Scopes) {
        self.each(scopes, |n| *n = n.saturating_add(1));
    }

    fn remove(&mut self, scopes: Scopes) {
        self.each(scopes, |n| *n = n.saturating_sub(1));
    }

    fn wanted(&self) -> Scopes {
        let mut wanted = self.base;
        for (bit, count) in self.counts.iter().enumerate() {
            if *count > 0 {
                wanted |= Scopes::from_bits_retain(1 << bit);
            }
        }
        wanted
    }
}

/// The calling thread with more scopes; see [`Client::enter`].
#[derive(Debug)]
#[must_use = "the scopes end when this is dropped"]
pub struct Guard<'a> {
    client: &'a Client,
    scopes: Scopes,
    // It is this thread that has them.
    _thread: PhantomData<*mut ()>,
}

impl Guard<'_> {
    fn end(&self) -> Result<()> {
        let mut nesting = NESTING.get();
        nesting.remove(self.scopes);
        NESTING.set(nesting);
        self.client.set(nesting.wanted())
    }

    /// Ends the scopes, and says whether that worked. Dropping ignores it: it fails where the
    /// thread has given up `CAP_SYS_RESOURCE` meanwhile, and then the scopes stay in force. For a
    /// daemon that gives it up, [`Device::hold`] ends without.
    ///
    /// # Errors
    ///
    /// As for [`Client::set`].
    pub fn leave(self) -> Result<()> {
        let result = self.end();
        std::mem::forget(self);
        result
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a task does not move the fields.
    #[test]
    fn stat_is_read_behind_the_name() {
        let stat = |name: &str, flags: u32| format!("12 ({name}) S 1 12 12 0 -1 {flags} 0 0 0\n");
        for name in ["nbdkit", "a) R 1 2 3 4 5 4294967295 ", ")", "x y)"] {
            assert_eq!(
                scopes_of_stat(&stat(name, 0x18_0040)),
                Some(Scopes::IO_FLUSHER),
                "{name}"
            );
            assert_eq!(
                scopes_of_stat(&stat(name, 0x40_0000)),
                Some(Scopes::empty()),
                "{name}"
            );
        }
        for bad in ["", "12 (x)", "12 (x) S 1", "12 (x) S 1 2 3 4 5 y 0"] {
            assert_eq!(scopes_of_stat(bad), None, "{bad:?}");
        }
    }

    /// A scope ends with the last guard that has it, in whatever order they end, and what was
    /// there before the first is there after the last.
    #[test]
    fn guards_end_in_any_order() {
        let sets = [
            Scopes::NOIO,
            Scopes::IO_FLUSHER,
            Scopes::FS_FLUSHER,
            Scopes::NOIO,
        ];
        for base in (0..8).map(Scopes::from_bits_retain) {
            for order in 0..24 {
                let mut nesting = Nesting {
                    base,
                    ..Default::default()
                };
                let mut open: Vec<_> = sets.to_vec();
                for set in sets {
                    nesting.add(set);
                }
                let mut rest = order;
                for n in (1..=4).rev() {
                    let gone = open.remove(rest % n);
                    rest /= n;
                    nesting.remove(gone);
                    let want = open.iter().fold(base, |all, set| all | *set);
                    assert_eq!(nesting.wanted(), want);
                }
                assert_eq!(nesting.depth, 0);
            }
        }
    }
}
