// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate against the loaded module: needs root, `/dev/memscope`, and `--test-threads=1`.

use memscope::{current, Client, Delegation, Device, ErrorKind, How, Mark, Position, Scopes};
use rustix::{
    fs::{Mode as FsMode, OFlags},
    process::{pidfd_open, Pid, PidfdFlags},
};
use std::{
    fs::File,
    io::{IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The device, and the calling thread without scopes that an earlier test left.
fn device() -> Device {
    let device = Device::open().expect("the module is loaded, and this is root");
    device.set_scopes(Scopes::empty()).unwrap();
    device
}

/// What another process has, waiting for it to be `want`: a program that has just been started is
/// read from the disk, and for readahead the kernel sets NOFS itself.
fn wait_stat(pid: u32, want: Scopes) -> Scopes {
    let mut have = Scopes::empty();
    for _ in 0..1000 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        have = memscope::scopes_of_stat(&stat).unwrap();
        if have == want {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    have
}

/// Every set that is set is read back, by the device and in /proc.
#[test]
fn scopes_are_what_was_set() {
    let client = Client::from(device());
    for bits in 0..=Scopes::all().bits() {
        let set = Scopes::from_bits_retain(bits);
        client.set(set).unwrap();
        assert_eq!(client.get().unwrap(), set);
        assert_eq!(current().unwrap(), set);
        assert_eq!(
            client.device().unwrap().io_flusher().unwrap(),
            set.contains(Scopes::IO_FLUSHER)
        );
    }
}

/// Guards give back what was there, dropped in order and out of order.
#[test]
fn guards_restore() {
    let client = Client::from(device());
    client.set(Scopes::NOFS).unwrap();
    let outer = client.enter(Scopes::IO_FLUSHER).unwrap();
    let inner = client.enter(Scopes::NOIO | Scopes::NOFS).unwrap();
    assert_eq!(current().unwrap(), Scopes::all());
    drop(outer);
    assert_eq!(current().unwrap(), Scopes::NOIO | Scopes::NOFS);
    inner.leave().unwrap();
    assert_eq!(current().unwrap(), Scopes::NOFS);
}

/// And by a panic. (Not in the 32-bit build, which has no unwinder.)
#[test]
fn a_panic_restores() {
    let client = Client::from(device());
    client.set(Scopes::NOFS).unwrap();
    let panicked = std::panic::catch_unwind(|| {
        let client = Client::new();
        let _guard = client.enter(Scopes::IO_FLUSHER).unwrap();
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert_eq!(current().unwrap(), Scopes::NOFS);
}

/// A hold of the process covers threads that are there and those that come, not children, and
/// ends with the guard.
#[test]
fn a_hold_covers_every_thread() {
    let (to_old, old_gets) = mpsc::channel::<()>();
    let (old_says, from_old) = mpsc::channel();
    let old = thread::spawn(move || {
        while old_gets.recv().is_ok() {
            old_says.send(current().unwrap()).unwrap();
        }
    });
    let ask = || {
        to_old.send(()).unwrap();
        from_old.recv().unwrap()
    };
    let hold = device().hold(&Mark::process(Scopes::FS_FLUSHER)).unwrap();
    assert_eq!(hold.outcome().remaining, 0);
    assert!(hold.outcome().done >= 2);
    assert_eq!(ask(), Scopes::FS_FLUSHER);
    let new = thread::spawn(|| current().unwrap()).join().unwrap();
    assert_eq!(new, Scopes::FS_FLUSHER);
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    assert_eq!(wait_stat(child.id(), Scopes::empty()), Scopes::empty());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(hold);
    assert_eq!(ask(), Scopes::empty());
    drop(to_old);
    old.join().unwrap();
}

/// Another process is marked, and cleared, through a pidfd; one that is gone is ESRCH.
#[test]
fn another_process_by_pidfd() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let device = device();
    for set in [Scopes::IO_FLUSHER, Scopes::NOFS, Scopes::empty()] {
        let outcome = device
            .mark(&Mark::other_process(pidfd.as_fd(), set))
            .unwrap();
        assert_eq!((outcome.done, outcome.remaining), (1, 0));
        assert_eq!(wait_stat(child.id(), set), set);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = device
        .mark(&Mark::other_process(pidfd.as_fd(), Scopes::NOIO))
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NoSuchProcess, "{gone}");
}

/// Suspended, a thread has nothing; afterwards it has what it had. It nests.
#[test]
fn suspended_for_a_while() {
    let device = device();
    device.set_scopes(Scopes::IO_FLUSHER).unwrap();
    {
        let _outer = device.suspend().unwrap();
        {
            let _inner = device.suspend().unwrap();
            assert_eq!(current().unwrap(), Scopes::empty());
        }
        assert_eq!(current().unwrap(), Scopes::empty());
    }
    assert_eq!(current().unwrap(), Scopes::IO_FLUSHER);
}

/// What is not /dev/memscope is refused, without a command of it being sent.
#[test]
fn other_devices_are_refused() {
    for path in ["/dev/null", "/proc/self/stat", "/dev/misc/../zero"] {
        let Ok(file) = File::open(path) else { continue };
        let error = Device::from_fd(OwnedFd::from(file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{path}: {error}");
    }
    let fd: OwnedFd = device().into();
    assert!(Device::from_fd(fd).is_ok());
}

/// Single calls do what the plain ones do and leave no scope behind.
#[test]
fn single_calls() {
    let device = device();
    let before = current().unwrap();
    let path = std::env::temp_dir().join(format!("memscope-call.{}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let io = Scopes::IO_FLUSHER;
    device.fallocate(io, &file, 0, 0, 4096).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 4096);
    let n = device
        .write(
            io,
            &file,
            &[IoSlice::new(b"under "), IoSlice::new(b"scopes")],
            Position::At(100),
            0,
        )
        .unwrap();
    assert_eq!(n, 12);
    device.fsync(io, &file, false).unwrap();
    device.fsync(io, &file, true).unwrap();
    let (mut a, mut b) = ([0; 4], [0; 8]);
    let n = device
        .read(
            io,
            &file,
            &mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)],
            Position::At(100),
            0,
        )
        .unwrap();
    assert_eq!((n, &a, &b), (12, b"unde", b"r scopes"));
    // The position moves, from the start.
    for want in [b'\0', b'\0'] {
        let mut one = [1];
        let n = device
            .read(
                io,
                &file,
                &mut [IoSliceMut::new(&mut one)],
                Position::Current,
                0,
            )
            .unwrap();
        assert_eq!((n, one[0]), (1, want));
    }
    let bad = device
        .read(
            io,
            &file,
            &mut [IoSliceMut::new(&mut a)],
            Position::At(u64::MAX),
            0,
        )
        .unwrap_err();
    assert_eq!(bad.raw_os_error(), Some(22), "{bad}");
    assert_eq!(current().unwrap(), before);
}

/// The status lists a marked thread, with what and how; and no longer when it is cleared.
#[test]
fn status_lists_the_marked() {
    let device = device();
    let tid = rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs();
    let mine = || {
        device
            .status()
            .unwrap()
            .entries
            .into_iter()
            .find(|e| e.tid == tid && e.how == How::Own)
    };
    device.set_scopes(Scopes::IO_FLUSHER).unwrap();
    let entry = mine().expect("this thread is listed");
    assert_eq!(entry.tgid, std::process::id());
    assert!(entry.scopes.contains(Scopes::IO_FLUSHER));
    device.set_scopes(Scopes::empty()).unwrap();
    assert!(mine().is_none());
}

/// A process registers a block device that it serves, sees that in fdinfo, and takes it back; what
/// is no block device is refused.
#[test]
fn served_devices() {
    let device = device();
    let name = std::fs::read_dir("/sys/class/block")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .find(|name| std::path::Path::new("/dev").join(name).exists())
        .expect("the machine has a disk");
    let numbers = std::fs::read_to_string(format!("/sys/class/block/{name}/dev")).unwrap();
    // It need not be opened.
    let disk = rustix::fs::open(
        format!("/dev/{name}"),
        OFlags::PATH | OFlags::CLOEXEC,
        FsMode::empty(),
    )
    .unwrap();
    let is_seen = || {
        let path = format!("/proc/self/fdinfo/{}", device.as_fd().as_raw_fd());
        let line = format!(
            "memscope-serves:\t{} process {}",
            numbers.trim(),
            std::process::id()
        );
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .any(|l| l == line)
    };
    assert!(!is_seen());
    device.register(&disk).unwrap();
    device.register(&disk).unwrap();
    assert!(is_seen());
    device.unregister(&disk).unwrap();
    assert!(!is_seen());
    let again = device.unregister(&disk).unwrap_err();
    assert_eq!(again.raw_os_error(), Some(2), "{again}");
    let null = File::open("/dev/null").unwrap();
    let refused = device.register(&null).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(15), "{refused}");
    // It goes with the file.
    device.register(&disk).unwrap();
    drop(device);
    let other = Device::open().unwrap();
    let gone = other.unregister(&disk).unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(2), "{gone}");
}

/// What is added for good is a mark: the status says by whom and since when.
#[test]
fn added_scopes_are_remembered() {
    let client = Client::from(device());
    client.set(Scopes::NOFS).unwrap();
    client.add(Scopes::IO_FLUSHER).unwrap();
    assert_eq!(current().unwrap(), Scopes::all());
    let status = client.device().unwrap().status().unwrap();
    let entry = status
        .entries
        .iter()
        .find(|e| e.tgid == std::process::id())
        .unwrap();
    assert_eq!((entry.how, entry.mark), (How::Mark, Scopes::all()));
    assert_eq!(entry.by_pid, Some(std::process::id()));
    assert!(entry.since.is_some());
    // And with it what is remembered.
    let none = Mark::thread(Scopes::empty());
    client.device().unwrap().mark(&none).unwrap();
    assert_eq!(current().unwrap(), Scopes::empty());
}

/// A delegated file marks who has it, by a hold out of its set and in no other way, until it is
/// revoked.
#[test]
fn delegated_files() {
    let device = device();
    let copy = Device::from_fd(device.as_fd().try_clone_to_owned().unwrap()).unwrap();
    device
        .delegate(&Delegation::new(Scopes::FS_FLUSHER))
        .unwrap();
    let wider = device.mark(&Mark::thread(Scopes::NOFS)).unwrap_err();
    assert_eq!(wider.kind(), ErrorKind::NoPermission, "{wider}");
    let hold = copy.hold(&Mark::thread(Scopes::NOFS)).unwrap();
    assert_eq!(current().unwrap(), Scopes::NOFS);
    device.revoke().unwrap();
    assert_eq!(current().unwrap(), Scopes::empty());
    let revoked = device.suspend().unwrap_err();
    assert_eq!(revoked.kind(), ErrorKind::Revoked, "{revoked}");
    drop(hold);
    let again = device.delegate(&Delegation::new(Scopes::NOFS)).unwrap_err();
    assert_eq!(again.raw_os_error(), Some(16), "{again}");
}
