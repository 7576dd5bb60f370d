// SPDX-License-Identifier: GPL-2.0

//! The guards: nesting, leaving early, leaking, carrying to a worker.

use crate::{
    bindings,
    kapi::{
        gfp::{self, Gfp},
        workqueue::OwnedQueue,
    },
    scope::{self, boundary, capture, work, Kinds, MemallocScope},
    testing::{
        check, check_eq, task_flags, Failure, TestResult, PF_MEMALLOC, PF_NOFS, PF_NOIO, PF_PIN,
    },
};
use core::mem;
use kernel::{
    alloc::flags::GFP_KERNEL,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

/// A test's name, and the test.
pub(crate) type Test = (&'static str, fn() -> TestResult);

/// Every test.
pub(crate) const TESTS: &[Test] = &[
    ("boundary_changes_nothing", boundary_changes_nothing),
    ("each_kind", each_kind),
    ("three_kinds_all_orders", three_kinds_all_orders),
    ("depth_of_30", depth_of_30),
    ("sets_of_kinds", sets_of_kinds),
    ("closure_form", closure_form),
    ("early_return", early_return),
    ("guard_moved", guard_moved),
    ("boundary_in_boundary", boundary_in_boundary),
    ("forget_inner", forget_inner),
    ("forget_all", forget_all),
    ("forget_in_inner_boundary", forget_in_inner_boundary),
    ("forget_closure_form", forget_closure_form),
    ("forget_budget", forget_budget),
    ("no_false_leak", no_false_leak),
    ("budget", budget),
    ("capture_every_set", capture_every_set),
    ("enter_captured", enter_captured),
    ("current_gfp", current_gfp),
    ("worker_has_the_scopes", worker_has_the_scopes),
    ("worker_forgets", worker_forgets),
    ("queue_drop_waits", queue_drop_waits),
    ("kinds_from_bits", kinds_from_bits),
];

const KINDS: [(Kinds, u32); 5] = [
    (Kinds::NOIO, PF_NOIO),
    (Kinds::NOFS, PF_NOFS),
    (Kinds::NOWAIT, PF_MEMALLOC),
    (Kinds::NORECLAIM, PF_MEMALLOC),
    (Kinds::PIN, PF_PIN),
];

fn set(bits: u32) -> (Kinds, u32) {
    let kinds = Kinds::from_bits_truncate(bits);
    let mut flags = 0;
    for (kind, flag) in KINDS {
        if kind.bits() & bits != 0 {
            flags |= flag;
        }
    }
    (kinds, flags)
}

fn all_sets() -> impl Iterator<Item = (Kinds, u32)> {
    (0..32).map(set)
}

fn boundary_changes_nothing() -> TestResult {
    let found = task_flags();
    let inside = boundary(|_| task_flags());
    check_eq!(inside, found);
    check_eq!(boundary(|_| 7u32), 7u32);
    Ok(())
}

/// The named constructors, and that each sets nothing but its flag.
fn each_kind() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        for round in 0..2 {
            {
                let _g = cx.noio();
                check_eq!(task_flags(), found | PF_NOIO);
            }
            check_eq!(task_flags(), found);
            {
                let _g = cx.nofs();
                check_eq!(task_flags(), found | PF_NOFS);
            }
            check_eq!(task_flags(), found);
            {
                let _g = cx.nowait();
                check_eq!(task_flags(), found | PF_MEMALLOC);
            }
            check_eq!(task_flags(), found);
            {
                let _g = cx.pin();
                check_eq!(task_flags(), found | PF_PIN);
            }
            check_eq!(task_flags(), found);
            {
                let _g = cx.noreclaim(round * 4096);
                check_eq!(task_flags(), found | PF_MEMALLOC);
            }
            check_eq!(task_flags(), found);
        }
        Ok(())
    })
}

/// All 125 ways to enter three kinds; guards can only be left in the reverse order.
fn three_kinds_all_orders() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        for (ka, fa) in KINDS {
            for (kb, fb) in KINDS {
                for (kc, fc) in KINDS {
                    let mut a = cx.enter(ka);
                    check_eq!(task_flags(), found | fa);
                    let mut b = a.enter(kb);
                    check_eq!(task_flags(), found | fa | fb);
                    let c = b.enter(kc);
                    check_eq!(task_flags(), found | fa | fb | fc);
                    drop(c);
                    check_eq!(task_flags(), found | fa | fb);
                    drop(b);
                    check_eq!(task_flags(), found | fa);
                    drop(a);
                    check_eq!(task_flags(), found);
                }
            }
        }
        Ok(())
    })
}

fn depth_of_30() -> TestResult {
    fn down(cx: &mut MemallocScope<'_>, depth: usize) -> TestResult {
        let found = task_flags();
        let (kind, flag) = KINDS[depth * 3 % KINDS.len()];
        {
            let mut inner = cx.enter(kind);
            check_eq!(task_flags(), found | flag);
            if depth > 0 {
                down(&mut inner, depth - 1)?;
            }
            check_eq!(task_flags(), found | flag);
        }
        check_eq!(task_flags(), found);
        Ok(())
    }
    boundary(|cx| down(cx, 29))
}

fn sets_of_kinds() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        for (a, fa) in all_sets() {
            let mut outer = cx.enter(a);
            for (b, fb) in all_sets() {
                let inner = outer.enter(b);
                check_eq!(task_flags(), found | fa | fb);
                drop(inner);
                check_eq!(task_flags(), found | fa);
            }
        }
        Ok(())
    })
}

fn closure_form() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        let value = cx.with(Kinds::NOIO, |s| {
            check_eq!(task_flags(), found | PF_NOIO);
            s.with(Kinds::NOFS.union(Kinds::PIN), |s| {
                check_eq!(task_flags(), found | PF_NOIO | PF_NOFS | PF_PIN);
                let _g = s.nowait();
                check_eq!(
                    task_flags(),
                    found | PF_NOIO | PF_NOFS | PF_PIN | PF_MEMALLOC
                );
                Ok(())
            })?;
            check_eq!(task_flags(), found | PF_NOIO);
            Ok::<u32, Failure>(3)
        })?;
        check_eq!(value, 3u32);
        check_eq!(task_flags(), found);
        Ok(())
    })
}

/// `?` out of two guards and a closure.
fn early_return() -> TestResult {
    let found = task_flags();
    let deep = |cx: &mut MemallocScope<'_>| -> Result {
        let mut a = cx.noio();
        let mut b = a.nowait();
        b.with(Kinds::PIN, |_| Err::<(), Error>(EIO))?;
        Ok(())
    };
    boundary(|cx| {
        check!(deep(cx) == Err(EIO));
        check_eq!(task_flags(), found);
        Ok(())
    })?;
    let result: Result = boundary(|cx| deep(&mut cx.nofs()));
    check!(result == Err(EIO));
    check_eq!(task_flags(), found);
    Ok(())
}

/// A guard handed to another function, and back.
fn guard_moved() -> TestResult {
    fn through(g: MemallocScope<'_>) -> MemallocScope<'_> {
        g
    }
    fn last(g: MemallocScope<'_>) -> u32 {
        let _g = g;
        task_flags()
    }
    let found = task_flags();
    boundary(|cx| {
        {
            let mut kept = Some(through(cx.noio()));
            check_eq!(task_flags(), found | PF_NOIO);
            let g = kept.take();
            check!(kept.is_none());
            check_eq!(g.map_or(0, last), found | PF_NOIO);
        }
        check_eq!(task_flags(), found);
        let boxed = KBox::new(cx.pin(), GFP_KERNEL)?;
        check_eq!(task_flags(), found | PF_PIN);
        drop(boxed);
        check_eq!(task_flags(), found);
        Ok(())
    })
}

fn boundary_in_boundary() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        let mut outer = cx.noio();
        boundary(|cx| {
            check_eq!(task_flags(), found | PF_NOIO);
            let _g = cx.nofs();
            check_eq!(task_flags(), found | PF_NOIO | PF_NOFS);
            Ok::<(), Failure>(())
        })?;
        check_eq!(task_flags(), found | PF_NOIO);
        let _g = outer.pin();
        check_eq!(task_flags(), found | PF_NOIO | PF_PIN);
        Ok(())
    })
}

/// A forgotten guard is put right by the scope around it.
fn forget_inner() -> TestResult {
    let found = task_flags();
    let leaks = scope::leaks();
    boundary(|cx| {
        let mut outer = cx.noio();
        mem::forget(outer.nowait());
        check_eq!(task_flags(), found | PF_NOIO | PF_MEMALLOC);
        check_eq!(scope::leaks(), leaks);
        drop(outer);
        check_eq!(task_flags(), found);
        check_eq!(scope::leaks(), leaks + 1);
        Ok(())
    })?;
    // Reported where it was put right, not again outside.
    check_eq!(scope::leaks(), leaks + 1);
    Ok(())
}

/// With no scope around, by the boundary.
fn forget_all() -> TestResult {
    for (kinds, flags) in all_sets() {
        let found = task_flags();
        let leaks = scope::leaks();
        boundary(|cx| {
            mem::forget(cx.enter(kinds));
            check_eq!(task_flags(), found | flags);
            Ok::<(), Failure>(())
        })?;
        check_eq!(task_flags(), found);
        // What was set before anyway did not leak.
        check_eq!(scope::leaks() - leaks, u64::from(flags & !found != 0));
    }
    Ok(())
}

fn forget_in_inner_boundary() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        let _outer = cx.nofs();
        boundary(|cx| {
            let mut a = cx.pin();
            mem::forget(a.noio());
            mem::forget(a);
        });
        check_eq!(task_flags(), found | PF_NOFS);
        Ok(())
    })
}

fn forget_closure_form() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        cx.with(Kinds::NOIO, |s| mem::forget(s.enter(Kinds::PIN)));
        check_eq!(task_flags(), found);
        Ok(())
    })
}

fn forget_budget() -> TestResult {
    let found = task_flags();
    boundary(|cx| {
        cx.with(Kinds::NOIO, |s| mem::forget(s.noreclaim(4096)));
        check_eq!(task_flags(), found);
        Ok(())
    })
}

/// Neither success nor an error nor an inner boundary is reported as a leak.
fn no_false_leak() -> TestResult {
    let leaks = scope::leaks();
    three_kinds_all_orders()?;
    sets_of_kinds()?;
    early_return()?;
    boundary_in_boundary()?;
    guard_moved()?;
    check_eq!(scope::leaks(), leaks);
    Ok(())
}

fn budget() -> TestResult {
    boundary(|cx| {
        let s = cx.noreclaim(3 * 4096);
        let gfp = s.charge(4096)?;
        check!(gfp.as_raw() & bindings::__GFP_MEMALLOC != 0);
        check_eq!(gfp.as_raw() & bindings::__GFP_NOMEMALLOC, 0u32);
        // Never waits: no direct reclaim among its flags.
        check_eq!(
            gfp.as_raw() & bindings::__GFP_RECLAIM & !bindings::__GFP_KSWAPD_RECLAIM,
            0u32
        );
        check!(s.charge(2 * 4096 + 1).err() == Some(ENOMEM));
        // The refused one took nothing.
        s.charge(2 * 4096)?;
        check!(s.charge(1).err() == Some(ENOMEM));
        s.charge(0)?;
        s.refund(4096);
        s.charge(4096)?;
        check!(s.charge(1).err() == Some(ENOMEM));
        // No wrap-around.
        s.refund(usize::MAX);
        s.refund(usize::MAX);
        s.charge(usize::MAX)?;
        check!(s.charge(1).err() == Some(ENOMEM));
        check!(s.charge(usize::MAX).err() == Some(ENOMEM));
        // Not through the query, which hands out none of the budget.
        let own = gfp::current(Gfp::KERNEL).as_raw();
        check!(own & bindings::__GFP_NOMEMALLOC != 0);
        check_eq!(own & bindings::__GFP_MEMALLOC, 0u32);
        Ok::<(), Failure>(())
    })?;
    boundary(|cx| {
        let s = cx.noreclaim(0);
        check!(s.charge(1).err() == Some(ENOMEM));
        Ok(())
    })
}

fn capture_every_set() -> TestResult {
    let outer = capture();
    boundary(|cx| {
        for (kinds, flags) in all_sets() {
            let s = cx.enter(kinds);
            let captured = s.capture();
            check_eq!(captured.bits(), capture().bits());
            let mut expected = kinds.union(outer).bits() & !Kinds::NORECLAIM.bits();
            if flags & PF_MEMALLOC != 0 {
                expected |= Kinds::NOWAIT.bits();
            }
            check_eq!(captured.bits(), expected);
        }
        Ok(())
    })
}

/// A captured set, entered elsewhere, sets the same flags, and can be captured again.
fn enter_captured() -> TestResult {
    let found = task_flags();
    for (kinds, flags) in all_sets() {
        let captured = boundary(|cx| cx.enter(kinds).capture());
        check_eq!(task_flags(), found);
        boundary(|cx| {
            let s = cx.enter(captured);
            check_eq!(task_flags(), found | flags);
            check_eq!(s.capture().bits(), captured.bits());
            Ok::<(), Failure>(())
        })?;
    }
    Ok(())
}

fn current_gfp() -> TestResult {
    let outer = task_flags();
    let direct = bindings::__GFP_RECLAIM & !bindings::__GFP_KSWAPD_RECLAIM;
    let io = Gfp::NOFS.as_raw() & !Gfp::NOIO.as_raw();
    let fs = Gfp::KERNEL.as_raw() & !Gfp::NOFS.as_raw();
    let nowait = bindings::__GFP_NORETRY | bindings::__GFP_NOMEMALLOC | bindings::__GFP_NOWARN;
    check_eq!(direct.count_ones(), 1u32);
    check_eq!(io.count_ones(), 1u32);
    check_eq!(fs.count_ones(), 1u32);
    boundary(|cx| {
        for (kinds, flags) in all_sets() {
            let _s = cx.enter(kinds);
            let flags = flags | outer;
            let gfp = gfp::current(Gfp::KERNEL).as_raw();
            check_eq!(gfp & io != 0, flags & PF_NOIO == 0);
            check_eq!(gfp & fs != 0, flags & (PF_NOIO | PF_NOFS) == 0);
            check_eq!(gfp & direct != 0, flags & PF_MEMALLOC == 0);
            check_eq!(
                gfp & nowait,
                if flags & PF_MEMALLOC == 0 { 0 } else { nowait }
            );
            let zero = gfp::current(Gfp::KERNEL.union(Gfp::ZERO)).as_raw();
            check_eq!(zero, gfp | Gfp::ZERO.as_raw());
        }
        Ok(())
    })
}

fn queue() -> Result<OwnedQueue> {
    OwnedQueue::new(c"scope_guard")
}

/// The worker's scope flags are its submitter's while the closure runs.
fn worker_has_the_scopes() -> TestResult {
    let submitter = task_flags();
    let scopes = PF_NOIO | PF_NOFS | PF_MEMALLOC | PF_PIN;
    for (kinds, flags) in all_sets() {
        let seen = Arc::new((Atomic::<u32>::new(0), Atomic::<u32>::new(0)), GFP_KERNEL)?;
        let queue = queue()?;
        boundary(|cx| {
            let _s = cx.enter(kinds);
            let seen = seen.clone();
            work::try_spawn(&queue, gfp::current(Gfp::KERNEL).flags(), move |cx| {
                seen.0.store(task_flags(), Relaxed);
                // A scope of the worker's own, on top.
                let _s = cx.pin();
                seen.1.store(task_flags(), Relaxed);
            })
        })?;
        drop(queue);
        let (in_work, on_top) = (seen.0.load(Relaxed), seen.1.load(Relaxed));
        // It ran, and in a worker.
        check!(in_work & bindings::PF_WQ_WORKER != 0);
        check_eq!(in_work & scopes, flags | submitter & scopes);
        check_eq!(on_top, in_work | PF_PIN);
    }
    Ok(())
}

/// What a work item forgets is put right: the worker goes on to others' work.
fn worker_forgets() -> TestResult {
    let leaks = scope::leaks();
    let queue = queue()?;
    work::try_spawn(&queue, GFP_KERNEL, |cx| mem::forget(cx.enter(Kinds::NOIO)))?;
    drop(queue);
    if task_flags() & PF_NOIO == 0 {
        check_eq!(scope::leaks(), leaks + 1);
    }
    Ok(())
}

fn queue_drop_waits() -> TestResult {
    let done = Arc::new(Atomic::<u32>::new(0), GFP_KERNEL)?;
    let queue = queue()?;
    for _ in 0..16 {
        let done = done.clone();
        work::try_spawn(&queue, GFP_KERNEL, move |_| {
            kernel::time::delay::fsleep(kernel::time::Delta::from_millis(2));
            done.fetch_add(1, Relaxed);
        })?;
    }
    drop(queue);
    check_eq!(done.load(Relaxed), 16u32);
    Ok(())
}

fn kinds_from_bits() -> TestResult {
    for bit in 0..32 {
        let kinds = Kinds::from_bits_truncate(1 << bit);
        check_eq!(kinds.bits(), if bit < 5 { 1u32 << bit } else { 0 });
    }
    check_eq!(Kinds::from_bits_truncate(u32::MAX).bits(), 31u32);
    check_eq!(Kinds::NONE.bits(), 0u32);
    Ok(())
}
