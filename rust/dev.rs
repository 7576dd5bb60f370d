// SPDX-License-Identifier: GPL-2.0

//! `/dev/memscope`: the scopes of the calling thread, from user space.
//!
//! UAPI header: `include/uapi/linux/memscope.h`, which says what each command does.

mod abi;
mod call;
mod delegation;
mod marks;
mod probes;
mod status;
mod tally;
mod user;

use crate::kapi::{
    debugfs,
    later::Later,
    miscdev,
    once::Once,
    pid::Pid,
    task::{self, Flags},
    task_work::{Drain, Notify},
    thread::{self, Process},
};
use delegation::Delegation;
use kernel::{
    fs::File,
    miscdevice::{MiscDevice, MiscDeviceRegistration},
    prelude::*,
    seq_file::SeqFile,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    uaccess::UserSlice,
};
use marks::{FileId, Origin, Registry, Request, Target, Viewer};
use probes::{Needed, Probes};
use status::Flushers;
use tally::Tally;

/// The registered device.
///
/// Unloading finds no open file and no work under way, since either keeps the module loaded.
#[pin_data]
pub(crate) struct Registration {
    // First, so that nobody looks any more.
    #[pin]
    _flushers: debugfs::File<Flushers>,
    #[pin]
    _misc: miscdev::Registration<Flusher>,
    _shared: Teardown,
    // Dropped last: the last work may just be returning.
    _drain: Drain,
}

/// Registers `/dev/memscope`, mode 0600: every open file holds the module.
///
/// What there is to see of it is in `debugfs`.
pub(crate) fn register(
    module: &'static ThisModule,
    debugfs: Arc<debugfs::Dir>,
) -> impl PinInit<Registration, Error> {
    pin_init::pin_init_scope(move || {
        let shared = Shared::new()?;
        Ok(try_pin_init!(Registration {
            _flushers <- debugfs::File::new(debugfs, c"flushers", Flushers(shared.clone())),
            _misc <- miscdev::Registration::register(c"memscope", 0o600, module, shared.clone()),
            _shared: Teardown(shared),
            _drain: Drain,
        }? Error))
    })
}

/// What all open files share.
#[pin_data]
pub(crate) struct Shared {
    registry: Arc<Registry>,
    tally: Arc<Tally>,
    probes: Arc<Probes>,
    #[pin]
    tidy: Later<Probes>,
}

impl Shared {
    fn new() -> Result<Arc<Self>> {
        let tally = Tally::new()?;
        let registry = Registry::new(tally.clone())?;
        let probes = Probes::new(registry.clone(), tally.clone())?;
        Arc::pin_init(
            pin_init!(Self {
                registry,
                tally,
                tidy <- Later::new(probes::INTERVAL_MS, probes.clone()),
                probes,
            }),
            GFP_KERNEL,
        )
    }

    /// Sees to it that threads are looked after as they come and go.
    fn listen(&self) -> Result<Needed<'_>> {
        let needed = self.probes.need_for_marks()?;
        self.tidy.schedule();
        Ok(needed)
    }

    /// Sees to it that threads are seen that enter reclaim.
    fn watch(&self) -> Result<Needed<'_>> {
        let needed = self.probes.need_for_devices()?;
        self.tidy.schedule();
        Ok(needed)
    }
}

/// Ends what the module does when it goes, and what refers to itself.
struct Teardown(Arc<Shared>);

impl Drop for Teardown {
    fn drop(&mut self) {
        self.0.probes.stop();
        self.0.registry.clear();
    }
}

/// An open `/dev/memscope`.
pub(crate) struct Flusher {
    shared: Arc<Shared>,
    id: FileId,
    delegation: Once<Delegation>,
    // Whether a process has closed its last descriptor, and there are more.
    closed: Atomic<bool>,
}

#[vtable]
impl MiscDevice for Flusher {
    type Ptr = KBox<Self>;

    // Never called: the registration opens with `Device::open`.
    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Err(ENODEV)
    }

    fn release(device: KBox<Self>, _file: &File) {
        device.end_all(None);
    }

    #[inline(always)]
    fn ioctl(device: &Self, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        device.ioctl(file, cmd, arg)
    }

    // Arguments by value are no pointers, which the generic compat handler would take them for.
    #[cfg(CONFIG_COMPAT)]
    #[inline(always)]
    fn compat_ioctl(device: &Self, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        device.ioctl(file, cmd, arg)
    }

    fn show_fdinfo(device: &Self, m: &SeqFile, _file: &File) {
        let viewer = Viewer::of_file(m);
        device.show_delegation(&viewer, m);
        status::show_file(&device.shared, device.id, &viewer, m);
    }
}

impl miscdev::Device for Flusher {
    type Context = Arc<Shared>;

    fn open(shared: &Arc<Shared>, _file: &File) -> Result<KBox<Self>> {
        let this = Self {
            shared: shared.clone(),
            id: shared.registry.new_file(),
            delegation: Once::new(),
            closed: Atomic::new(false),
        };
        Ok(KBox::new(this, GFP_KERNEL)?)
    }

    fn flush(device: &Self, file: &File) {
        if !thread::has_descriptor(file) {
            device.closed.store(true, Relaxed);
            // Pairs with `recheck`: either that sees it, or this what a command has done.
            task::full_barrier();
            device.closed_by_current();
        }
    }
}

impl Flusher {
    /// Ends what was done through the file, by `setter` or by anybody.
    fn end_all(&self, setter: Option<&Process>) {
        self.shared.registry.close(self.id, setter);
        self.shared.tally.close(self.id, setter);
    }

    /// A command. Those that do what `prctl()` does cost what it costs: no frame is set up for what the
    /// others need.
    #[inline(always)]
    fn ioctl(&self, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            abi::SET_IO_FLUSHER => self.check_full().and_then(|()| set_io_flusher(arg)),
            abi::GET_IO_FLUSHER => self.check_full().and_then(|()| get_io_flusher(arg)),
            _ => self.ioctl_beyond_prctl(file, cmd, arg),
        }
    }

    #[inline(never)]
    fn ioctl_beyond_prctl(&self, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            abi::SET_SCOPES => self.check_full().and_then(|()| set_scopes(arg)),
            abi::GET_SCOPES => self.check_full().and_then(|()| get_scopes(arg)),
            abi::GET_FEATURES => get_features(arg),
            abi::SUSPEND => self.suspend(file, arg),
            abi::RESUME => self.resume(arg),
            abi::REVOKE => self.revoke(arg),
            _ => match cmd & !abi::IOCSIZE_MASK {
                abi::MARK => self.mark(file, arg, abi::argument_size(cmd)),
                abi::CALL => call::call(self, arg, abi::argument_size(cmd)),
                abi::DELEGATE => self.delegate(file, arg, abi::argument_size(cmd)),
                abi::REGISTER => self.register(file, arg, abi::argument_size(cmd)),
                abi::STATUS => status::status(&self.shared, arg, abi::argument_size(cmd)),
                _ => Err(ENOTTY),
            },
        }
    }

    fn suspend(&self, file: &File, arg: usize) -> Result<isize> {
        self.check_revoked()?;
        if arg != 0 {
            return Err(EINVAL);
        }
        let _needed = self.shared.listen()?;
        self.shared.registry.suspend(self.id)?;
        self.recheck(file)?;
        Ok(0)
    }

    fn resume(&self, arg: usize) -> Result<isize> {
        self.check_revoked()?;
        if arg != 0 {
            return Err(EINVAL);
        }
        self.shared.registry.resume(self.id)?;
        Ok(0)
    }

    fn mark(&self, file: &File, arg: usize, size: usize) -> Result<isize> {
        let mut mark: abi::Mark = user::read_struct(arg, size)?;
        let right = self.right()?;
        let m = &mut mark.0;
        let known = abi::MARK_HOLD | abi::MARK_PROCESS | abi::MARK_PIDFD | abi::MARK_NO_INTERRUPT;
        if m.flags & !known != 0 || [m.done, m.remaining, m.stopped, m.blocked] != [0; 4] {
            return Err(EINVAL);
        }
        let scopes = abi::flags_from_scopes(m.scopes)?;
        if m.flags & abi::MARK_PIDFD == 0 && m.pidfd != 0 {
            return Err(EINVAL);
        }
        let is_own = m.flags & (abi::MARK_HOLD | abi::MARK_PIDFD) == abi::MARK_HOLD;
        if right.is_own() && !is_own || !right.covers(scopes) {
            return Err(EPERM);
        }
        let target = find_target(m.flags, m.pidfd)?;
        right.claim()?;
        let hold = m.flags & abi::MARK_HOLD != 0;
        let needed = self.shared.listen();
        if let (true, Err(e)) = (hold, &needed) {
            return Err(*e);
        }
        let result = self.shared.registry.mark(&Request {
            target,
            scopes,
            hold: hold.then_some(self.id),
            notify: if m.flags & abi::MARK_NO_INTERRUPT != 0 {
                Notify::Resume
            } else {
                Notify::Signal
            },
            timeout_ms: m.timeout_ms,
            origin: Origin::current(m.flags & abi::MARK_PROCESS != 0, right.is_own())?,
            remember: needed.is_ok(),
        });
        drop(needed);
        self.recheck(file)?;
        let outcome = result?;
        m.done = outcome.done;
        m.remaining = outcome.remaining;
        m.stopped = outcome.stopped;
        m.blocked = outcome.blocked;
        user::write_struct(arg, size, &mark)?;
        isize::try_from(outcome.remaining).map_err(|_| EOVERFLOW)
    }
}

/// Whom a mark is for.
fn find_target(flags: u32, pidfd: i32) -> Result<Target> {
    let whole = flags & abi::MARK_PROCESS != 0;
    let task = if flags & abi::MARK_PIDFD != 0 {
        let pid = Pid::from_pidfd(pidfd)?;
        let task = if whole { pid.process() } else { pid.thread() }.ok_or(ESRCH)?;
        pid.check_kill()?;
        if thread::is_kthread(&task) {
            return Err(EPERM);
        }
        task
    } else {
        thread::current_task()
    };
    Ok(if whole {
        Target::Process(Process::of(&task).ok_or(ESRCH)?)
    } else {
        Target::Thread(task)
    })
}

/// `EPERM` comes before any other error, as in `prctl()`.
fn check_capability() -> Result {
    if task::has_sys_resource() {
        Ok(())
    } else {
        Err(EPERM)
    }
}

fn set_io_flusher(arg: usize) -> Result<isize> {
    let value = match arg {
        0 => Flags::NONE,
        1 => abi::IO_FLUSHER,
        _ => return Err(EINVAL),
    };
    task::update_flags(abi::IO_FLUSHER, value);
    Ok(0)
}

fn get_io_flusher(arg: usize) -> Result<isize> {
    if arg != 0 {
        return Err(EINVAL);
    }
    Ok(task::flags().contains(abi::IO_FLUSHER).into())
}

fn set_scopes(arg: usize) -> Result<isize> {
    let value = abi::flags_from_scopes(u32::try_from(arg).map_err(|_| EINVAL)?)?;
    task::update_flags(abi::SCOPES, value);
    Ok(0)
}

fn get_scopes(arg: usize) -> Result<isize> {
    if arg != 0 {
        return Err(EINVAL);
    }
    Ok(abi::scopes_from_flags(task::flags()) as isize)
}

fn get_features(arg: usize) -> Result<isize> {
    UserSlice::new(UserPtr::from_addr(arg), size_of::<u64>())
        .writer()
        .write(&abi::FEATURES)?;
    Ok(0)
}
