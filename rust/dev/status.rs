// SPDX-License-Identifier: GPL-2.0

//! Who is marked: for programs, in debugfs and in fdinfo.

use super::{
    abi::{self, Entry},
    marks::{FileId, Registry, Viewer},
    user, Shared,
};
use crate::kapi::{
    debugfs, pid,
    task::{self, Flags},
    thread,
};
use kernel::{
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{aref::ARef, Arc},
    task::Task,
    uaccess::UserSlice,
};

/// Entries that are copied at a time.
const CHUNK: usize = 16;

/// The most that an array's element may have, in bytes.
const MAX_ENTRY: usize = 4096;

/// The threads that the current task may see, in the order of their numbers.
struct Threads {
    next: u32,
    viewer: Viewer,
}

impl Threads {
    fn from(next: u32) -> Self {
        Self {
            next,
            viewer: Viewer::current(),
        }
    }
}

impl Iterator for Threads {
    type Item = (u32, ARef<Task>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, task) = pid::next_thread(self.next)?;
            self.next = number.saturating_add(1);
            thread::cond_resched();
            match task {
                Some(task)
                    if !thread::is_kthread(&task)
                        && !thread::is_exiting(&task)
                        && self.viewer.sees(&task) =>
                {
                    return Some((number, task))
                }
                _ => (),
            }
        }
    }
}

/// Where an iteration is to go on: a thread, and how many of its entries were seen.
#[derive(Clone, Copy)]
struct Cursor {
    thread: u32,
    skip: usize,
}

impl Cursor {
    const SKIP_BITS: u32 = 16;

    fn from_raw(raw: u64) -> Result<Self> {
        let thread = u32::try_from(raw >> Self::SKIP_BITS).map_err(|_| EINVAL)?;
        if i32::try_from(thread).is_err() {
            return Err(EINVAL);
        }
        Ok(Self {
            thread,
            skip: (raw & ((1 << Self::SKIP_BITS) - 1)) as usize,
        })
    }

    fn into_raw(self) -> u64 {
        u64::from(self.thread) << Self::SKIP_BITS | self.skip as u64
    }
}

pub(super) fn status(shared: &Shared, arg: usize, size: usize) -> Result<isize> {
    let mut status: abi::Status = user::read_struct(arg, size)?;
    let s = &mut status.0;
    let entry_size = s.entry_size as usize;
    if s.flags != 0 || s.reserved != 0 || s.missed != 0 || s.unmarked != 0 {
        return Err(EINVAL);
    }
    if !(size_of::<Entry>()..=MAX_ENTRY).contains(&entry_size) {
        return Err(EINVAL);
    }
    let mut cursor = Cursor::from_raw(s.cursor)?;
    let base = usize::try_from(s.entries).map_err(|_| EFAULT)?;

    let mut chunk: KVec<Entry> = KVec::with_capacity(CHUNK, GFP_KERNEL)?;
    let mut filled = 0u32;
    for (number, task) in Threads::from(cursor.thread) {
        if number != cursor.thread {
            cursor = Cursor {
                thread: number,
                skip: 0,
            };
        }
        // Until all of this thread's entries are out, or there is no more room.
        loop {
            let room = s.count.saturating_sub(filled) as usize;
            let all = take(
                &shared.registry,
                &task,
                cursor.skip,
                room.min(CHUNK),
                &mut chunk,
            );
            for entry in &chunk {
                let at = (filled as usize)
                    .checked_mul(entry_size)
                    .and_then(|offset| offset.checked_add(base))
                    .ok_or(EFAULT)?;
                write_entry(at, entry_size, entry)?;
                filled += 1;
            }
            cursor.skip += chunk.len();
            if cursor.skip >= all || filled >= s.count {
                break;
            }
        }
        if filled >= s.count {
            break;
        }
        cursor = Cursor {
            thread: number.saturating_add(1),
            skip: 0,
        };
        if thread::fatal_signal_pending() {
            return Err(EINTR);
        }
    }
    s.cursor = cursor.into_raw();
    s.count = filled;
    s.missed = shared.registry.missed();
    if task::is_sys_resource() {
        s.unmarked = shared.tally.unmarked();
    }
    user::write_struct(arg, size, &status)?;
    isize::try_from(filled).map_err(|_| EOVERFLOW)
}

/// Puts entries of `task` after the first `skip` into `chunk`, up to `room`. Returns how many it has.
fn take(
    registry: &Registry,
    task: &Task,
    skip: usize,
    room: usize,
    chunk: &mut KVec<Entry>,
) -> usize {
    let mut all = 0;
    chunk.clear();
    registry.for_each_entry(task, |entry| {
        if all >= skip && chunk.len() < room {
            // There is room: the chunk has that capacity.
            let _ = chunk.push_within_capacity(entry);
        }
        all += 1;
    });
    all
}

fn write_entry(at: usize, size: usize, entry: &Entry) -> Result {
    let mut writer = UserSlice::new(UserPtr::from_addr(at), size).writer();
    writer.write(entry)?;
    let mut rest = size - size_of::<Entry>();
    let zeroes = [0u8; 64];
    while rest > 0 {
        let part = zeroes.get(..rest.min(zeroes.len())).ok_or(EINVAL)?;
        writer.write_slice(part)?;
        rest -= part.len();
    }
    Ok(())
}

/// Scopes by their names.
pub(super) struct Names(pub(super) u32);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let mut first = true;
        for (bit, name) in abi::SCOPE_NAMES {
            if self.0 & bit != 0 {
                if !first {
                    f.write_str(",")?;
                }
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

/// A thread's name, up to its NUL, with what is not plain replaced.
struct Plain<'a>(&'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take_while(|b| **b != 0) {
            let c = if byte.is_ascii_graphic() { *byte } else { b'?' };
            fmt::Write::write_char(f, c.into())?;
        }
        Ok(())
    }
}

/// `flushers` in debugfs: one line for each entry.
pub(super) struct Flushers(pub(super) Arc<Shared>);

impl debugfs::Show for Flushers {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let probes = if self.0.probes.are_on() { "on" } else { "off" };
        let missed = self.0.registry.missed();
        let unmarked = self.0.tally.unmarked();
        writeln!(f, "# probes {probes} missed {missed} unmarked {unmarked}")?;
        let mut result = Ok(());
        self.0.tally.for_each_service(None, |service| {
            let (major, minor) = service.device;
            let process = service.setter.number();
            result =
                result.and_then(|()| writeln!(f, "# serves {major}:{minor} process {process}"));
        });
        result?;
        f.write_str(
            "# tid tgid uid scopes mark how flags by_pid by_uid by_comm since_ns \
             reclaims reclaim_ns constrained pauses pause_ns comm\n",
        )?;
        for (_, task) in Threads::from(0) {
            let mut result = Ok(());
            self.0.registry.for_each_entry(&task, |entry| {
                result = result.and_then(|()| line(f, &entry));
            });
            result?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
    let e = &entry.0;
    let how = match e.how {
        abi::HOW_OWN => "own",
        abi::HOW_MARK => "mark",
        abi::HOW_HOLD => "hold",
        _ => "delegated",
    };
    f.write_fmt(fmt!(
        "{} {} {} {} {} {how} {:#x} {} {} {} {} {} {} {} {} {} {}\n",
        e.tid,
        e.tgid,
        e.uid,
        Names(e.scopes),
        Names(e.mark),
        e.flags,
        e.by_pid,
        // -1: not known.
        e.by_uid as i32,
        Plain(&e.by_comm),
        e.since_ns,
        e.reclaims,
        e.reclaim_ns,
        e.constrained,
        e.pauses,
        e.pause_ns,
        Plain(&e.comm)
    ))
}

/// What `/proc/PID/fdinfo/FD` says of an open file, which others may use as well.
pub(super) fn show_file(shared: &Shared, file: FileId, viewer: &Viewer, m: &SeqFile) {
    shared.tally.for_each_service(Some(file), |service| {
        if !viewer.sees_process(&service.setter) {
            return;
        }
        let (major, minor) = service.device;
        let process = service.setter.number();
        seq_print!(m, "memscope-serves:\t{major}:{minor} process {process}\n");
    });
    shared
        .registry
        .for_each_of_file(file, |task, scopes: Option<Flags>| {
            let (tid, _) = thread::numbers(task);
            if tid == 0 || !viewer.sees(task) {
                return;
            }
            match scopes {
                Some(scopes) => {
                    let names = Names(abi::scopes_from_flags(scopes));
                    seq_print!(m, "memscope-hold:\t{tid} {names}\n");
                }
                None => seq_print!(m, "memscope-suspended:\t{tid}\n"),
            }
        });
}
