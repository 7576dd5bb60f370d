// SPDX-License-Identifier: GPL-2.0

//! The allocation ladder: in which order a buffer is looked for.
//!
//! The caller performs a step, reports what came of it, and is told the next. No step waits for
//! memory or I/O with the client lock held: those that can sleep are entered with the lock dropped,
//! and after them the caller looks the block up again, because another thread may have brought it
//! in.

/// A way to get a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Charge the limits and allocate without reclaim, under the lock.
    Nowait,
    /// Evict clean buffers where [`super::limits::choose`] says, because the charge was refused.
    MakeRoom,
    /// Charge the limits and allocate with reclaim but without I/O, the lock dropped.
    Noio,
    /// Take a buffer from the client's reserve, under the lock.
    Reserve,
    /// Take over a clean buffer of this client, under the lock.
    EvictClean,
    /// Write dirty buffers of this client, and take one over that is clean by then, the lock dropped.
    EvictDirty,
    /// Sleep until a buffer is released or a write ends, the lock dropped.
    Wait,
}

/// The scope a step runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepScope {
    /// No reclaim.
    Nowait,
    /// Reclaim, but no I/O from it.
    Noio,
}

impl Step {
    /// Number of steps.
    pub(crate) const COUNT: usize = 7;

    /// All steps, in the order of [`Step::index`].
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Nowait,
        Self::MakeRoom,
        Self::Noio,
        Self::Reserve,
        Self::EvictClean,
        Self::EvictDirty,
        Self::Wait,
    ];

    /// Returns the position of this step's counter.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Nowait => 0,
            Self::MakeRoom => 1,
            Self::Noio => 2,
            Self::Reserve => 3,
            Self::EvictClean => 4,
            Self::EvictDirty => 5,
            Self::Wait => 6,
        }
    }

    /// Returns the name in statistics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nowait => "nowait",
            Self::MakeRoom => "make_room",
            Self::Noio => "noio",
            Self::Reserve => "reserve",
            Self::EvictClean => "evict_clean",
            Self::EvictDirty => "evict_dirty",
            Self::Wait => "wait",
        }
    }

    /// Whether the client lock is dropped for the step, so that the block must be looked up again.
    pub(crate) fn drops_lock(self) -> bool {
        match self {
            Self::Nowait | Self::Reserve | Self::EvictClean => false,
            Self::MakeRoom | Self::Noio | Self::EvictDirty | Self::Wait => true,
        }
    }

    /// Returns the scope that the step is entered under.
    pub(crate) fn scope(self) -> StepScope {
        if self.drops_lock() {
            StepScope::Noio
        } else {
            StepScope::Nowait
        }
    }
}

/// Who asks for a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A caller that needs it.
    Demand,
    /// Read-ahead, which can do without.
    Prefetch,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A buffer.
    Got,
    /// None. After [`Step::Wait`]: woken up.
    Failed,
    /// The charge was refused ([`Step::Nowait`], [`Step::Noio`]).
    NoRoom,
    /// Room was made, and the charge may now pass ([`Step::MakeRoom`]).
    Freed,
    /// The block was brought in by another thread while the lock was dropped.
    Found,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Perform this step.
    Try(Step),
    /// The buffer came from this step.
    Have(Step),
    /// Use the buffer that another thread brought in.
    Found,
    /// Go without.
    GiveUp,
}

/// Times that room is made between two waits. The room may go to another thread each time.
const MAKE_ROOM_MAX: u8 = 2;

/// The way up the ladder of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    request: Request,
    step: Step,
    noio_done: bool,
    rooms_made: u8,
}

impl Ladder {
    /// Most steps from a start, or a wake-up, to an end or the next [`Step::Wait`], both included.
    ///
    /// [`Step::Nowait`] three times with [`Step::MakeRoom`] twice between, then each of the others.
    pub(crate) const STEPS_PER_LAP: usize = 10;

    /// Starts at the first step.
    pub(crate) fn new(request: Request) -> Self {
        Self {
            request,
            step: Step::Nowait,
            noio_done: false,
            rooms_made: 0,
        }
    }

    /// Returns the step to perform.
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// Says what follows, given what came of the current step.
    pub(crate) fn next(&mut self, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Got => return Next::Have(self.step),
            // With the lock held nobody else can have brought it in.
            Outcome::Found if self.step.drops_lock() => return Next::Found,
            _ => (),
        }
        let prefetch = self.request == Request::Prefetch;
        let up = match self.step {
            Step::Nowait | Step::Noio if outcome == Outcome::NoRoom => self.make_room(),
            Step::Nowait if prefetch => None,
            Step::Nowait if !self.noio_done => Some(Step::Noio),
            Step::Nowait | Step::Noio => Some(Step::Reserve),
            Step::MakeRoom if outcome == Outcome::Freed => Some(Step::Nowait),
            Step::MakeRoom if prefetch => None,
            Step::MakeRoom => Some(Step::Reserve),
            Step::Reserve => Some(Step::EvictClean),
            Step::EvictClean => Some(Step::EvictDirty),
            Step::EvictDirty => Some(Step::Wait),
            Step::Wait => {
                self.rooms_made = 0;
                Some(Step::Nowait)
            }
        };
        let Some(step) = up else {
            return Next::GiveUp;
        };
        self.noio_done |= step == Step::Noio;
        self.step = step;
        Next::Try(step)
    }

    fn make_room(&mut self) -> Option<Step> {
        if self.rooms_made < MAKE_ROOM_MAX {
            self.rooms_made = self.rooms_made.saturating_add(1);
            return Some(Step::MakeRoom);
        }
        (self.request == Request::Demand).then_some(Step::Reserve)
    }
}

/// Returns how many of `wanted` blocks a client may prefetch or write ahead now.
///
/// None while it holds pages from the kernel's emergency reserves, or owes its own reserve a
/// buffer: what is left then belongs to callers that cannot do without.
pub(crate) fn ahead(wanted: u64, emergency_pages: u64, reserve_owed: u64) -> u64 {
    if emergency_pages == 0 && reserve_owed == 0 {
        wanted
    } else {
        0
    }
}
