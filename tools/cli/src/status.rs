// SPDX-License-Identifier: MIT OR Apache-2.0

//! `memscope status`, and what `top` shows as well.

use crate::{cli, procfs, table::printable, table::table, write_out, Failure};
use memscope::{Counters, Device, EntryFlags, ErrorKind, How, Scopes};
use serde_json::{json, Value};
use std::{process::ExitCode, time::Duration};

/// One mark of one thread.
#[derive(Clone)]
pub(crate) struct Mark {
    pub(crate) tid: u32,
    pub(crate) pid: u32,
    pub(crate) uid: Option<u32>,
    pub(crate) scopes: Scopes,
    pub(crate) mark: Scopes,
    pub(crate) how: How,
    pub(crate) flags: EntryFlags,
    pub(crate) by: Option<(u32, String)>,
    pub(crate) by_uid: Option<u32>,
    /// For how long it has been.
    pub(crate) age: Option<Duration>,
    pub(crate) counters: Option<Counters>,
    pub(crate) comm: String,
}

/// Who is marked, and how that is known.
pub(crate) struct Marks {
    pub(crate) marks: Vec<Mark>,
    /// By the module; otherwise by the flags in `/proc`.
    pub(crate) by_module: bool,
    pub(crate) missed: u64,
    pub(crate) unmarked: u64,
}

fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split(' ').next()?.parse().ok()?).ok()
}

impl Marks {
    /// Asks the module; where that is not there, may not be used or is too old, `/proc`.
    pub(crate) fn read() -> Result<Self, Failure> {
        match Device::open().and_then(|device| device.status()) {
            Ok(status) => Ok(Self::from_module(status)),
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::NoModule | ErrorKind::NoPermission | ErrorKind::Unsupported
                ) =>
            {
                Ok(Self::from_proc())
            }
            Err(e) => Err(e.into()),
        }
    }

    fn from_module(status: memscope::Status) -> Self {
        let now = uptime();
        let marks = status.entries.into_iter().map(|e| Mark {
            tid: e.tid,
            pid: e.tgid,
            uid: Some(e.uid),
            scopes: e.scopes,
            mark: e.mark,
            how: e.how,
            by: e.by_pid.map(|pid| (pid, e.by_comm)),
            by_uid: e.by_uid,
            age: e
                .since
                .zip(now)
                .map(|(since, now)| now.saturating_sub(since)),
            counters: e.flags.contains(EntryFlags::COUNTED).then_some(e.counters),
            flags: e.flags,
            comm: e.comm,
        });
        Self {
            marks: marks.collect(),
            by_module: true,
            missed: status.missed,
            unmarked: status.unmarked,
        }
    }

    fn from_proc() -> Self {
        let mut marks = Vec::new();
        for pid in procfs::processes() {
            let uid = procfs::uid(pid);
            for thread in procfs::threads(pid) {
                if !thread.scopes.is_empty() {
                    marks.push(Mark {
                        tid: thread.tid,
                        pid,
                        uid,
                        scopes: thread.scopes,
                        mark: thread.scopes,
                        how: How::Own,
                        flags: EntryFlags::empty(),
                        by: None,
                        by_uid: None,
                        age: None,
                        counters: None,
                        comm: thread.comm,
                    });
                }
            }
        }
        Self {
            marks,
            by_module: false,
            missed: 0,
            unmarked: 0,
        }
    }
}

fn how_name(how: How) -> &'static str {
    match how {
        How::Own => "own",
        How::Mark => "mark",
        How::Hold => "hold",
        How::Delegated => "delegated",
        _ => "other",
    }
}

const FLAGS: [(EntryFlags, &str); 5] = [
    (EntryFlags::PENDING, "pending"),
    (EntryFlags::SUSPENDED, "suspended"),
    (EntryFlags::INHERITED, "inherited"),
    (EntryFlags::PROCESS, "process"),
    (EntryFlags::SETTER_GONE, "setter-gone"),
];

fn flag_names(flags: EntryFlags) -> Vec<&'static str> {
    FLAGS
        .iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, name)| *name)
        .collect()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn to_json(marks: &Marks) -> Value {
    let names = |scopes: Scopes| scopes.names().collect::<Vec<_>>();
    let list: Vec<Value> = marks
        .marks
        .iter()
        .map(|m| {
            json!({
                "pid": m.pid,
                "tid": m.tid,
                "comm": m.comm,
                "uid": m.uid,
                "scopes": names(m.scopes),
                "mark": names(m.mark),
                "how": how_name(m.how),
                "flags": flag_names(m.flags),
                "by": m.by.as_ref().map(|(pid, comm)| json!({
                    "pid": pid, "comm": comm, "uid": m.by_uid
                })),
                "age_ns": m.age.map(nanoseconds),
                "counters": m.counters.map(|c| json!({
                    "reclaims": c.reclaims,
                    "reclaim_ns": nanoseconds(c.reclaim_time),
                    "constrained": c.constrained,
                    "pauses": c.pauses,
                    "pause_ns": nanoseconds(c.pause_time),
                })),
            })
        })
        .collect();
    json!({
        "source": if marks.by_module { "module" } else { "proc" },
        "missed": marks.missed,
        "unmarked_reclaims": marks.unmarked,
        "marks": list,
    })
}

/// A time in the largest unit that leaves two digits or more, for a column.
pub(crate) fn short_time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..1 => format!("{}ms", time.as_millis()),
        1..100 => format!("{}.{}s", seconds, time.subsec_millis() / 100),
        100..6000 => format!("{}min", seconds / 60),
        6000..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn by_text(mark: &Mark) -> String {
    match &mark.by {
        None => "-".into(),
        Some((pid, comm)) => format!("{pid}/{}", printable(comm)),
    }
}

/// The rows of a table: one for each mark of a process, its threads together, or one for each
/// thread.
fn rows(marks: &[Mark], threads: bool) -> Vec<Vec<String>> {
    let key = |m: &&Mark| {
        let tid = if threads { m.tid } else { 0 };
        let (scopes, mark) = (m.scopes.bits(), m.mark.bits());
        (m.pid, tid, scopes, mark, m.how, by_text(m))
    };
    let mut sorted: Vec<&Mark> = marks.iter().collect();
    sorted.sort_by_key(key);
    sorted
        .chunk_by(|a, b| key(a) == key(b))
        .map(|group| {
            let first = group[0];
            let counters: Vec<&Counters> =
                group.iter().filter_map(|m| m.counters.as_ref()).collect();
            let sum = |f: fn(&Counters) -> u64| match counters.len() {
                0 => "-".to_owned(),
                _ => counters.iter().map(|c| f(c)).sum::<u64>().to_string(),
            };
            let time = |f: fn(&Counters) -> Duration| match counters.len() {
                0 => "-".to_owned(),
                _ => short_time(counters.iter().map(|c| f(c)).sum()),
            };
            let flags = group.iter().fold(EntryFlags::empty(), |all, m| {
                all | (m.flags & (EntryFlags::PENDING | EntryFlags::SUSPENDED))
            });
            let mut how = vec![how_name(first.how)];
            how.extend(flag_names(flags));
            vec![
                first.pid.to_string(),
                if threads {
                    first.tid.to_string()
                } else {
                    group.len().to_string()
                },
                first.scopes.to_string(),
                how.join(","),
                by_text(first),
                group
                    .iter()
                    .filter_map(|m| m.age)
                    .max()
                    .map_or("-".into(), short_time),
                sum(|c| c.reclaims),
                time(|c| c.reclaim_time),
                sum(|c| c.constrained),
                sum(|c| c.pauses),
                time(|c| c.pause_time),
                printable(&first.comm),
            ]
        })
        .collect()
}

/// The table that people read.
pub(crate) fn to_text(marks: &Marks, threads: bool) -> String {
    let head = [
        "PID",
        if threads { "TID" } else { "THREADS" },
        "SCOPES",
        "HOW",
        "BY",
        "AGE",
        "RECLAIMS",
        "STALL",
        "CONSTRAINED",
        "PAUSES",
        "PAUSED",
        "COMMAND",
    ];
    table(&head, &rows(&marks.marks, threads))
}

pub(crate) fn status(args: &cli::Status) -> Result<ExitCode, Failure> {
    let mut marks = Marks::read()?;
    if !args.pids.is_empty() {
        marks.marks.retain(|m| args.pids.contains(&m.pid));
    }
    if args.json {
        return write_out(format!("{:#}\n", to_json(&marks)).as_bytes());
    }
    let mut text = to_text(&marks, args.threads);
    if marks.marks.is_empty() {
        text = "nobody is marked\n".into();
    }
    if !marks.by_module {
        eprintln!(
            "memscope: read from /proc: without access to /dev/memscope there is no more than the \
             scopes (memscope doctor says why)"
        );
    }
    if marks.missed > 0 {
        eprintln!(
            "memscope: {} new threads did not get what they should have inherited: no memory",
            marks.missed
        );
    }
    if marks.unmarked > 0 {
        eprintln!(
            "memscope: unmarked threads of daemons that serve a device have entered reclaim {} \
             times: see the kernel log",
            marks.unmarked
        );
    }
    write_out(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(pid: u32, tid: u32, scopes: Scopes) -> Mark {
        Mark {
            tid,
            pid,
            uid: Some(0),
            scopes,
            mark: scopes,
            how: How::Mark,
            flags: EntryFlags::COUNTED,
            by: Some((7, "memscope".into())),
            by_uid: Some(0),
            age: Some(Duration::from_secs(90)),
            counters: Some(Counters {
                reclaims: 2,
                reclaim_time: Duration::from_millis(30),
                ..Default::default()
            }),
            comm: "tcmu-\"runner\"".into(),
        }
    }

    /// Threads of a process with the same mark are one row, with their counters added up.
    #[test]
    fn threads_are_grouped() {
        let all = [
            mark(10, 10, Scopes::IO_FLUSHER),
            mark(10, 11, Scopes::IO_FLUSHER),
            mark(10, 12, Scopes::NOFS),
            mark(20, 20, Scopes::IO_FLUSHER),
        ];
        let grouped = rows(&all, false);
        assert_eq!(grouped.len(), 3);
        let io = grouped
            .iter()
            .find(|r| r[0] == "10" && r[2] == "noio,local-throttle")
            .unwrap();
        assert_eq!(
            (&*io[1], &*io[4], &*io[5], &*io[6], &*io[7]),
            ("2", "7/memscope", "90.0s", "4", "60ms")
        );
        assert_eq!(rows(&all, true).len(), 4);
    }

    /// The JSON has every field, and survives what a process may call itself.
    #[test]
    fn json_is_json() {
        let marks = Marks {
            marks: vec![mark(10, 11, Scopes::IO_FLUSHER)],
            by_module: true,
            missed: 1,
            unmarked: 2,
        };
        let text = to_json(&marks).to_string();
        let back: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["source"], "module");
        let m = &back["marks"][0];
        assert_eq!(m["comm"], "tcmu-\"runner\"");
        assert_eq!(m["scopes"], json!(["noio", "local-throttle"]));
        assert_eq!(m["age_ns"], 90_000_000_000_u64);
        assert_eq!(m["counters"]["reclaim_ns"], 30_000_000);
    }

    /// Each unit begins where the one before has too many digits.
    #[test]
    fn times_are_short() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1.0s"),
            (99_950, "99.9s"),
            (100_000, "1min"),
            (6_000_000, "1h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(short_time(Duration::from_millis(ms)), text);
        }
    }
}
