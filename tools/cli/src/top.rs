// SPDX-License-Identifier: MIT OR Apache-2.0

//! `memscope top`.

use crate::{
    cli,
    status::{short_time, Mark, Marks},
    table::{printable, table},
    write_out, Failure,
};
use memscope::{Counters, Scopes};
use rustix::{
    event::{poll, PollFd, PollFlags},
    stdio,
    termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios},
};
use std::{
    collections::HashMap,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Keys one by one, unseen; dropped, the terminal is as it was.
struct Keys {
    before: Termios,
}

impl Keys {
    fn new() -> Option<Self> {
        let before = termios::tcgetattr(stdio::stdin()).ok()?;
        let mut raw = before.clone();
        // Ctrl-C is a key as well, so that the terminal is put back.
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }

    /// Waits so long for a key; whether it means to end.
    fn end_pressed(&self, mut left: Duration) -> bool {
        let end = Instant::now() + left;
        loop {
            let timeout = rustix::event::Timespec::try_from(left).ok();
            let stdin = stdio::stdin();
            let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
            if matches!(poll(&mut fds, timeout.as_ref()), Ok(n) if n > 0) {
                let mut keys = [0; 16];
                match rustix::io::read(stdin, &mut keys) {
                    Ok(0) | Err(_) => return true,
                    // q, Q, Escape, Ctrl-C, Ctrl-D
                    Ok(n) if keys[..n].iter().any(|k| b"qQ\x1b\x03\x04".contains(k)) => {
                        return true
                    }
                    Ok(_) => {}
                }
            }
            left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

/// A screen of its own, left when dropped.
struct Screen;

impl Screen {
    fn new() -> Self {
        let _ = write_out(b"\x1b[?1049h\x1b[?25l");
        Self
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write_out(b"\x1b[?25h\x1b[?1049l");
    }
}

/// What a process has done in the time between two looks.
struct Row {
    pid: u32,
    threads: u64,
    scopes: Scopes,
    counted: bool,
    change: Counters,
    comm: String,
}

fn difference(now: &Counters, before: &Counters) -> Counters {
    Counters {
        reclaims: now.reclaims.saturating_sub(before.reclaims),
        reclaim_time: now.reclaim_time.saturating_sub(before.reclaim_time),
        constrained: now.constrained.saturating_sub(before.constrained),
        pauses: now.pauses.saturating_sub(before.pauses),
        pause_time: now.pause_time.saturating_sub(before.pause_time),
    }
}

/// The processes, those that are stalled most first. A thread counts once, however many marks it
/// has; one that is seen for the first time has done nothing yet.
fn rows(marks: &[Mark], before: &mut HashMap<u32, Counters>) -> Vec<Row> {
    let mut by_pid: HashMap<u32, Row> = HashMap::new();
    let mut seen = HashMap::new();
    for mark in marks {
        let now = mark.counters.unwrap_or_default();
        if seen.insert(mark.tid, now).is_some() {
            continue;
        }
        let row = by_pid.entry(mark.pid).or_insert_with(|| Row {
            pid: mark.pid,
            threads: 0,
            scopes: Scopes::empty(),
            counted: false,
            change: Counters::default(),
            comm: mark.comm.clone(),
        });
        row.threads += 1;
        row.scopes |= mark.scopes;
        row.counted |= mark.counters.is_some();
        let change = difference(&now, before.get(&mark.tid).unwrap_or(&now));
        row.change.reclaims += change.reclaims;
        row.change.reclaim_time += change.reclaim_time;
        row.change.constrained += change.constrained;
        row.change.pauses += change.pauses;
        row.change.pause_time += change.pause_time;
        // The process has the name of its first thread.
        if mark.tid == mark.pid {
            row.comm.clone_from(&mark.comm);
        }
    }
    *before = seen;
    let mut rows: Vec<Row> = by_pid.into_values().collect();
    rows.sort_by_key(|r| {
        (
            std::cmp::Reverse(r.change.reclaim_time + r.change.pause_time),
            r.pid,
        )
    });
    rows
}

fn frame(marks: &Marks, rows: &[Row], passed: Duration) -> String {
    let seconds = passed.as_secs_f64().max(0.001);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|r| {
            let rate = |n: u64| match r.counted {
                true => format!("{:.1}", n as f64 / seconds),
                false => "-".into(),
            };
            let time = |t: Duration| match r.counted {
                true => short_time(t),
                false => "-".into(),
            };
            vec![
                r.pid.to_string(),
                r.threads.to_string(),
                r.scopes.to_string(),
                rate(r.change.reclaims),
                time(r.change.reclaim_time),
                rate(r.change.constrained),
                rate(r.change.pauses),
                time(r.change.pause_time),
                printable(&r.comm),
            ]
        })
        .collect();
    let threads: u64 = rows.iter().map(|r| r.threads).sum();
    let mut text = format!(
        "memscope: {threads} threads of {} processes are marked; reclaims of unmarked daemons: {}{}\n\n",
        rows.len(),
        marks.unmarked,
        if marks.by_module { "" } else { " (from /proc: no counters)" },
    );
    text += &table(
        &[
            "PID",
            "THREADS",
            "SCOPES",
            "RECLAIM/s",
            "STALL",
            "CONSTR/s",
            "PAUSE/s",
            "PAUSED",
            "COMMAND",
        ],
        &cells,
    );
    text
}

/// What of a frame fits on the screen.
fn fitted(text: &str, columns: usize, lines: usize) -> String {
    let mut screen = String::from("\x1b[H");
    for line in text.lines().take(lines.saturating_sub(1)) {
        screen.extend(line.chars().take(columns));
        screen.push_str("\x1b[K\n");
    }
    screen.push_str("\x1b[J");
    screen
}

pub(crate) fn top(args: &cli::Top) -> Result<ExitCode, Failure> {
    let delay = Duration::from_secs_f64(args.delay);
    let keys = if termios::isatty(stdio::stdout()) {
        Keys::new()
    } else {
        None
    };
    let live = keys.is_some();
    let limit = args.iterations.or((!live).then_some(1));
    let mut before = HashMap::new();
    // A change needs two looks; the first is not shown where it is not watched.
    let mut marks = Marks::read()?;
    rows(&marks.marks, &mut before);
    let screen = live.then(Screen::new);
    let mut last = Instant::now();
    let mut looks = 0;
    while limit.is_none_or(|n| looks < n) {
        match &keys {
            // At once, the first time: an empty screen would look broken.
            Some(keys) if looks > 0 => {
                if keys.end_pressed(delay) {
                    break;
                }
            }
            Some(_) => {}
            None => std::thread::sleep(delay),
        }
        marks = Marks::read()?;
        let passed = last.elapsed();
        last = Instant::now();
        let text = frame(&marks, &rows(&marks.marks, &mut before), passed);
        if screen.is_some() {
            // A terminal that does not know its size says 0.
            let (columns, lines) = termios::tcgetwinsize(stdio::stdout())
                .ok()
                .filter(|s| s.ws_col > 0 && s.ws_row > 0)
                .map_or((80, 24), |s| (s.ws_col.into(), s.ws_row.into()));
            write_out(fitted(&text, columns, lines).as_bytes())?;
        } else {
            write_out(text.as_bytes())?;
        }
        looks += 1;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memscope::{EntryFlags, How};

    fn mark(pid: u32, tid: u32, reclaims: u64, how: How) -> Mark {
        Mark {
            tid,
            pid,
            uid: None,
            scopes: Scopes::NOIO,
            mark: Scopes::NOIO,
            how,
            flags: EntryFlags::COUNTED,
            by: None,
            by_uid: None,
            age: None,
            counters: Some(Counters {
                reclaims,
                reclaim_time: Duration::from_millis(reclaims),
                ..Default::default()
            }),
            comm: format!("t{tid}"),
        }
    }

    /// Only what happened since the look before counts, once for each thread, and new threads
    /// begin at nothing.
    #[test]
    fn rows_show_the_change() {
        let mut before = HashMap::new();
        let first = [mark(1, 1, 100, How::Own), mark(2, 2, 7, How::Own)];
        assert!(rows(&first, &mut before)
            .iter()
            .all(|r| r.change.reclaims == 0));
        let second = [
            mark(1, 1, 101, How::Own),
            mark(1, 1, 101, How::Hold),
            mark(2, 2, 10, How::Own),
            mark(2, 3, 50, How::Own),
        ];
        let rows = rows(&second, &mut before);
        let seen: Vec<_> = rows
            .iter()
            .map(|r| (r.pid, r.threads, r.change.reclaims, &*r.comm))
            .collect();
        assert_eq!(seen, [(2, 2, 3, "t2"), (1, 1, 1, "t1")]);
    }

    /// No line is wider and no frame longer than the screen.
    #[test]
    fn frames_fit() {
        let text = fitted("abcdef\nxyz\n1\n2\n", 4, 3);
        assert_eq!(text, "\x1b[Habcd\x1b[K\nxyz\x1b[K\n\x1b[J");
    }
}
