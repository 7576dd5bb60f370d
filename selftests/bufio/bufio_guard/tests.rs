// SPDX-License-Identifier: GPL-2.0

//! The tests. Blocks of 4096 bytes on `/dev/ram0`, each test with a client of its own.

use crate::{
    bufio::{
        client::{Client, Options},
        global::Global,
        guard::{Buffer, Fresh, Hooks, Outgoing},
        stats::Event,
    },
    kapi::{
        atomic::{Atomic, Relaxed},
        bdev::Bdev,
        rcu_table::Aux,
    },
    scope::{self, Kinds},
    testing::{check, check_eq, TestResult},
};
use kernel::{prelude::*, sync::Arc};

const BLOCK: usize = 4096;

/// A test.
type Test = fn() -> TestResult;

/// All tests, in their order; the last one leaks a buffer, which warns.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("what_is_written_is_read", what_is_written_is_read),
    (
        "only_marked_bytes_are_written",
        only_marked_bytes_are_written,
    ),
    ("a_drop_releases", a_drop_releases),
    ("get_finds_what_is_cached", get_finds_what_is_cached),
    ("holds_are_shared", holds_are_shared),
    ("ranges_are_checked", ranges_are_checked),
    ("many_are_held_at_once", many_are_held_at_once),
    (
        "a_buffer_goes_to_another_thread",
        a_buffer_goes_to_another_thread,
    ),
    ("read_in_a_scope", read_in_a_scope),
    ("options_are_checked", options_are_checked),
    ("client_is_the_only_owner", client_is_the_only_owner),
    ("a_value_beside_each_buffer", a_value_beside_each_buffer),
    ("hooks_are_told", hooks_are_told),
    ("leaked_buffer", leaked_buffer),
];

fn client() -> Result<Client> {
    let device = Bdev::open(c"/dev/ram0")?;
    Client::new(Global::new()?, Options::new(device, BLOCK as u32), None)
}

fn client_with(change: impl FnOnce(&mut Options)) -> Result<Client> {
    let mut options = Options::new(Bdev::open(c"/dev/ram0")?, BLOCK as u32);
    change(&mut options);
    Client::new(Global::new()?, options, None)
}

fn written_blocks(client: &Client) -> u64 {
    client.shared().stats.sum(Event::WriteBlock)
}

/// Rule: bytes written through a buffer are on the device after `write_dirty`.
fn what_is_written_is_read() -> TestResult {
    let first = client()?;
    for block in 0..8u8 {
        first
            .overwrite(block.into())?
            .write_at(0, &[block; BLOCK])?;
    }
    first.write_dirty()?;
    // Another client has nothing cached.
    let second = client()?;
    for block in 0..8u8 {
        check!(second.get(block.into()).is_none());
        let mut bytes = [0xff; 16];
        second.read(block.into())?.read_at(BLOCK - 16, &mut bytes)?;
        check!(bytes == [block; 16]);
    }
    Ok(())
}

/// Rule: a write marks its own bytes, and a mark names what is written: here, one sector's worth of
/// the device's unit of 4096 bytes is the whole block, and an unmarked buffer is not written at all.
fn only_marked_bytes_are_written() -> TestResult {
    let client = client()?;
    let buffer = client.overwrite(20)?;
    buffer.write_at(0, &[1; BLOCK])?;
    client.write_dirty()?;
    let written = written_blocks(&client);
    client.write_dirty()?;
    check_eq!(written_blocks(&client), written);
    buffer.mark_dirty(8, 8)?;
    client.write_dirty()?;
    check_eq!(written_blocks(&client), written + 1);
    buffer.write_at(100, &[])?;
    client.write_dirty()?;
    check_eq!(written_blocks(&client), written + 1);
    Ok(())
}

/// Rule: a buffer is held until the value is dropped, and no longer.
fn a_drop_releases() -> TestResult {
    let client = client()?;
    let buffer = client.read(3)?;
    client.forget(3);
    check!(client.get(3).is_some());
    drop(buffer);
    client.forget(3);
    check!(client.get(3).is_none());
    // Nor does a failed call keep a hold.
    let buffer = client.read(3)?;
    check!(buffer.read_at(BLOCK, &mut [0]).is_err());
    drop(buffer);
    client.forget(3);
    check!(client.get(3).is_none());
    Ok(())
}

/// Rule: `get` finds what a read or a prefetch brought in.
fn get_finds_what_is_cached() -> TestResult {
    let client = client()?;
    check!(client.get(5).is_none());
    drop(client.read(5)?);
    check!(client.get(5).is_some_and(|buffer| buffer.block() == 5));
    client.prefetch(30, 4, 0);
    // The read may be on its way, for which `get` does not wait, but `read` does.
    for block in 30..34 {
        check_eq!(client.read(block)?.block(), block);
    }
    Ok(())
}

/// Rule: all holders of a block see one set of bytes, and each hold is one of its own.
fn holds_are_shared() -> TestResult {
    let client = client()?;
    let one = client.overwrite(6)?;
    let two = client.read(6)?;
    let three = two.another()?;
    one.write_at(10, b"shared")?;
    drop(one);
    for buffer in [&two, &three] {
        let mut bytes = [0; 6];
        buffer.read_at(10, &mut bytes)?;
        check!(&bytes == b"shared");
    }
    drop(two);
    client.forget(6);
    three.write_at(0, b"still held")?;
    check!(client.get(6).is_some());
    Ok(())
}

/// Rule: what is beyond the block is refused, and then nothing is copied or marked.
fn ranges_are_checked() -> TestResult {
    let client = client()?;
    let buffer = client.read(9)?;
    check_eq!(buffer.len() as u64, BLOCK as u64);
    let mut bytes = [7; 4];
    for offset in [BLOCK - 3, BLOCK, BLOCK + 1, usize::MAX - 1, usize::MAX] {
        check!(buffer.read_at(offset, &mut bytes) == Err(EINVAL));
        check!(buffer.write_at(offset, &bytes) == Err(EINVAL));
        check!(buffer.mark_dirty(offset, 4) == Err(EINVAL));
    }
    check!(buffer.mark_dirty(0, 0) == Err(EINVAL));
    check!(buffer.mark_dirty(0, BLOCK + 1) == Err(EINVAL));
    check!(bytes == [7; 4]);
    let written = written_blocks(&client);
    client.write_dirty()?;
    check_eq!(written_blocks(&client), written);
    buffer.mark_dirty(0, BLOCK)?;
    client.write_dirty()?;
    check_eq!(written_blocks(&client), written + 1);
    Ok(())
}

/// Rule: one thread may hold as many buffers as it gets.
fn many_are_held_at_once() -> TestResult {
    let client = client()?;
    let mut held = KVec::new();
    for block in 0..64u64 {
        held.push(client.read(block)?, GFP_KERNEL)?;
    }
    for (block, buffer) in held.iter().enumerate() {
        check_eq!(buffer.block(), block as u64);
    }
    drop(held);
    client.forget_range(0, 64);
    check!((0..64).all(|block| client.get(block).is_none()));
    Ok(())
}

/// Rule: buffers and clients may be used and dropped by any thread.
fn a_buffer_goes_to_another_thread() -> TestResult {
    fn any_thread<T: Send + Sync>(value: T) -> T {
        value
    }
    let client = any_thread(client()?);
    let buffer: Buffer<'_> = any_thread(client.read(1)?);
    check_eq!(buffer.block(), 1u64);
    Ok(())
}

/// Rule: the cache works in any scope of its caller.
fn read_in_a_scope() -> TestResult {
    let client = client()?;
    for kinds in [Kinds::NOWAIT, Kinds::NOIO, Kinds::NOFS] {
        let read = scope::boundary(|cx| cx.with(kinds, |_| client.read(40).map(drop)));
        check!(read.is_ok());
        client.forget(40);
    }
    Ok(())
}

/// Rule: what is no block size, or no block device, is refused.
fn options_are_checked() -> TestResult {
    check!(Bdev::open(c"/dev/null").err() == Some(ENOTBLK));
    check!(Bdev::open(c"/dev/no-such-device").err() == Some(ENOENT));
    for bytes in [0, 1, 511, 513, 4095] {
        let device = Bdev::open(c"/dev/ram0")?;
        let client = Client::new(Global::new()?, Options::new(device, bytes), None);
        check!(client.err() == Some(EINVAL));
    }
    Ok(())
}

/// Rule: a client keeps its device and the shared part alive, whoever made them.
fn client_is_the_only_owner() -> TestResult {
    let client = {
        let device = Bdev::open(c"/dev/ram0")?;
        let global = Global::new()?;
        let client = Client::new(global.clone(), Options::new(device.clone(), 512), None)?;
        drop((device, global));
        client
    };
    client.overwrite(0)?.write_at(0, &[9; 512])?;
    client.write_dirty()?;
    Ok(())
}

/// What a test keeps beside a buffer.
struct Note {
    seen: Atomic<u64>,
}

impl Default for Note {
    fn default() -> Self {
        Self {
            seen: Atomic::new(7),
        }
    }
}

fn seen(buffer: &Buffer<'_>) -> Option<u64> {
    Some(buffer.aux::<Note>()?.seen.load(Relaxed))
}

/// Rule: a value is beside each buffer, which all its holders share and which is new with each block
/// that the buffer stands for, also where the buffer is taken over; it is found by its type alone.
fn a_value_beside_each_buffer() -> TestResult {
    let client = client_with(|options| options.aux = Aux::of::<Note>())?;
    let one = client.read(1)?;
    check!(seen(&one) == Some(7));
    check!(one.aux::<u64>().is_none());
    let two = client.read(1)?;
    two.aux::<Note>().ok_or(EINVAL)?.seen.store(8, Relaxed);
    check!(seen(&one) == Some(8));
    check!(seen(&client.read(2)?) == Some(7));
    drop((one, two));
    check!(client.get(1).and_then(|buffer| seen(&buffer)) == Some(8));
    client.forget(1);
    check!(seen(&client.read(1)?) == Some(7));
    // With room for some: each of the others takes the place of one before.
    client.set_maximum_bytes(16 * BLOCK as u64);
    for block in 0..100 {
        let buffer = client.read(block)?;
        let note = buffer.aux::<Note>().ok_or(EINVAL)?;
        check!(block < 3 || note.seen.load(Relaxed) == 7);
        note.seen.store(9, Relaxed);
    }
    check!(client.shared().stats.sum(Event::Evict) > 80);
    // And where there is none:
    let client = client_with(|options| options.aux = Aux::bytes(8))?;
    check!(seen(&client.read(1)?).is_none());
    Ok(())
}

/// Counts what it is told, and puts twice the number of the block into its last bytes when it is written.
struct Told {
    allocs: Atomic<u64>,
    writes: Atomic<u64>,
}

impl Hooks for Arc<Told> {
    fn on_alloc(&self, buffer: &Fresh<'_>) {
        self.allocs.fetch_add(1, Relaxed);
        if let Some(note) = buffer.aux::<Note>() {
            note.seen.store(buffer.block(), Relaxed);
        }
    }

    fn on_write(&self, buffer: &Outgoing<'_>) {
        self.writes.fetch_add(1, Relaxed);
        let seen = buffer
            .aux::<Note>()
            .map_or(0, |note| note.seen.load(Relaxed));
        // What is beyond the block is refused.
        if buffer.write_at(BLOCK, &[1]) == Err(EINVAL) {
            let _ = buffer.write_at(BLOCK - 8, &(buffer.block() + seen).to_le_bytes());
        }
    }
}

/// Rule: the client's user is told of each buffer that is to stand for a block, and before each write,
/// where it may change what is written.
fn hooks_are_told() -> TestResult {
    let told = Arc::new(
        Told {
            allocs: Atomic::new(0),
            writes: Atomic::new(0),
        },
        GFP_KERNEL,
    )?;
    let client = {
        let hooks = KBox::new(told.clone(), GFP_KERNEL)?;
        client_with(|options| {
            options.aux = Aux::of::<Note>();
            options.hooks = Some(hooks);
        })?
    };
    let counts = || (told.allocs.load(Relaxed), told.writes.load(Relaxed));
    check!(counts() == (0, 0));
    for block in 50..54 {
        client.overwrite(block)?.write_at(0, &[3; BLOCK])?;
    }
    check!(counts() == (4, 0));
    // Merged into one bio; each block is told of.
    client.write_dirty()?;
    check!(counts() == (4, 4));
    // Neither by a hit nor by a flush of nothing.
    drop(client.read(51)?);
    client.write_dirty()?;
    check!(counts() == (4, 4));
    client.read(51)?.mark_dirty(0, 1)?;
    client.write_dirty()?;
    check!(counts() == (4, 5));
    client.forget(51);
    drop(client.read(51)?);
    check!(counts() == (5, 5));
    drop(client);
    let client = self::client()?;
    for block in 50..54u64 {
        let mut bytes = [0; 16];
        client.read(block)?.read_at(BLOCK - 16, &mut bytes)?;
        check!(bytes[..8] == [3; 8]);
        check!(bytes[8..] == (2 * block).to_le_bytes());
    }
    Ok(())
}

/// Rule: a forgotten buffer is leaked, and named when its client goes; nothing else happens.
fn leaked_buffer() -> TestResult {
    let first = client()?;
    core::mem::forget(first.read(77)?);
    drop(first);
    // The device is still there.
    drop(client()?.read(77)?);
    Ok(())
}
