// SPDX-License-Identifier: MIT OR Apache-2.0

//! `memscope doctor`.

use crate::{
    cli, procfs,
    table::{printable, table},
    write_out, Failure,
};
use memscope::{Device, ErrorKind, Features, Scopes};
use serde_json::json;
use std::{path::Path, process::ExitCode};

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Worth knowing, and no fault.
    Note,
    Bad,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "PROBLEM",
        }
    }
}

struct Check {
    verdict: Verdict,
    what: &'static str,
    found: String,
}

/// Daemons that serve block devices or filesystems, by the name of their program.
const BLOCK: &[&str] = &[
    "iscsid",
    "io-engine",
    "multipathd",
    "nbd-client",
    "nbd-server",
    "nbdkit",
    "qemu-nbd",
    "qemu-storage-daemon",
    "rbd-nbd",
    "tcmu-runner",
    "tgtd",
    "ublk",
    "ublk.rublk",
    "rublk",
];
const FILES: &[&str] = &["ganesha.nfsd", "juicefs", "virtiofsd"];

/// What a process serves, as its name and its open device files tell.
fn serves(program: &str, devices: &[String]) -> Option<(String, Scopes)> {
    for device in devices {
        if device == "fuse" {
            return Some(("a FUSE filesystem".into(), Scopes::FS_FLUSHER));
        }
        if let Some(n) = device.strip_prefix("ublkc") {
            if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) {
                return Some((format!("/dev/ublkb{n}"), Scopes::IO_FLUSHER));
            }
        }
    }
    if BLOCK.contains(&program) {
        Some(("block devices".into(), Scopes::IO_FLUSHER))
    } else if FILES.contains(&program) {
        Some(("files".into(), Scopes::FS_FLUSHER))
    } else {
        None
    }
}

/// Whether what is in force is enough for what is wanted: without I/O there are no filesystems
/// either.
fn enough(has: Scopes, wanted: Scopes) -> bool {
    let mut has = has;
    if has.contains(Scopes::NOIO) {
        has |= Scopes::NOFS;
    }
    has.contains(wanted)
}

/// A storage daemon that runs.
struct Daemon {
    pid: u32,
    program: String,
    serves: String,
    wanted: Scopes,
    threads: usize,
    marked: usize,
}

fn daemons() -> Vec<Daemon> {
    procfs::processes()
        .into_iter()
        .filter_map(|pid| {
            let program = procfs::program(pid)?;
            let (serves, wanted) = serves(&program, &procfs::open_devices(pid))?;
            let threads = procfs::threads(pid);
            let marked = threads.iter().filter(|t| enough(t.scopes, wanted)).count();
            Some(Daemon {
                pid,
                program,
                serves,
                wanted,
                threads: threads.len(),
                marked,
            })
        })
        // Threads that have all gone were a process that has ended.
        .filter(|d| d.threads > 0)
        .collect()
}

fn check_module(checks: &mut Vec<Check>) {
    let loaded = Path::new("/sys/module/memscope").exists();
    let module = |verdict, found: &str| Check {
        verdict,
        what: "module",
        found: found.into(),
    };
    let device = Device::open();
    checks.push(if device.is_ok() || loaded {
        module(Verdict::Good, "memscope is loaded")
    } else {
        module(
            Verdict::Bad,
            "memscope is not loaded: modprobe memscope. Without it only run --io works, by prctl",
        )
    });
    match device {
        Err(e) if e.kind() == ErrorKind::NoModule && !loaded => {}
        Err(e) => checks.push(Check {
            verdict: Verdict::Bad,
            what: "device",
            found: e.to_string(),
        }),
        Ok(device) => {
            let names: Vec<_> = device
                .features()
                .map(|f| f.iter_names().map(|(name, _)| name).collect())
                .unwrap_or_default();
            let missing: Vec<_> = Features::all()
                .iter_names()
                .map(|(name, _)| name)
                .filter(|name| !names.contains(name))
                .collect();
            let mut found = format!("/dev/memscope opens; it has {}", names.join(", "));
            let mut verdict = Verdict::Good;
            if !missing.is_empty() {
                verdict = Verdict::Note;
                found += &format!("; it does not have {}", missing.join(", "));
            }
            checks.push(Check {
                verdict,
                what: "device",
                found: found.to_lowercase(),
            });
        }
    }
}

fn check_capability(checks: &mut Vec<Check>) {
    // The prctl asks for it as the device does, and both in the initial user namespace.
    let (verdict, found) = match rustix::process::is_io_flusher() {
        Ok(_) => (Verdict::Good, "this user may mark processes".to_owned()),
        Err(rustix::io::Errno::PERM) => {
            const CAP_SYS_RESOURCE: u32 = 24;
            let has = procfs::status_field("self", "CapEff")
                .and_then(|v| u64::from_str_radix(&v, 16).ok())
                .is_some_and(|caps| (caps >> CAP_SYS_RESOURCE) & 1 == 1);
            (
                Verdict::Bad,
                if has {
                    "CAP_SYS_RESOURCE is there, but in a user namespace: it has to be in the \
                     initial one, or the file has to be delegated by a process that has it"
                } else {
                    "CAP_SYS_RESOURCE is missing: run as root, or give it to the service \
                     (systemd: AmbientCapabilities=CAP_SYS_RESOURCE)"
                }
                .to_owned(),
            )
        }
        Err(e) => (
            Verdict::Bad,
            format!("prctl(PR_GET_IO_FLUSHER): {e}: a kernel before 5.6, or a seccomp filter"),
        ),
    };
    checks.push(Check {
        verdict,
        what: "capability",
        found,
    });
}

fn check_daemons(checks: &mut Vec<Check>, daemons: &[Daemon]) {
    for d in daemons.iter().filter(|d| d.marked < d.threads) {
        let option = if d.wanted == Scopes::FS_FLUSHER {
            "--fs"
        } else {
            "--io"
        };
        checks.push(Check {
            verdict: Verdict::Bad,
            what: "daemon",
            found: format!(
                "{} ({}) serves {}, and {} of its {} threads are not marked: memscope mark \
                 {option} {}",
                printable(&d.program),
                d.pid,
                d.serves,
                d.threads - d.marked,
                d.threads,
                d.pid
            ),
        });
    }
    if daemons.is_empty() {
        checks.push(Check {
            verdict: Verdict::Note,
            what: "daemon",
            found: if rustix::process::geteuid().is_root() {
                "no storage daemon is running".into()
            } else {
                "no storage daemon is seen; root sees more".into()
            },
        });
    }
}

pub(crate) fn doctor(args: &cli::Doctor) -> Result<ExitCode, Failure> {
    let mut checks = Vec::new();
    check_module(&mut checks);
    check_capability(&mut checks);
    let daemons = daemons();
    check_daemons(&mut checks, &daemons);
    let bad = checks.iter().any(|c| c.verdict == Verdict::Bad);
    let text = if args.json {
        let checks: Vec<_> = checks
            .iter()
            .map(|c| {
                json!({
                    "verdict": c.verdict.name().to_lowercase(),
                    "what": c.what,
                    "found": c.found,
                })
            })
            .collect();
        let daemons: Vec<_> = daemons
            .iter()
            .map(|d| {
                json!({
                    "pid": d.pid,
                    "program": d.program,
                    "serves": d.serves,
                    "wanted": d.wanted.names().collect::<Vec<_>>(),
                    "threads": d.threads,
                    "marked": d.marked,
                })
            })
            .collect();
        format!("{:#}\n", json!({"checks": checks, "daemons": daemons}))
    } else {
        let rows: Vec<_> = checks
            .iter()
            .map(|c| vec![c.verdict.name().into(), c.what.into(), c.found.clone()])
            .collect();
        let mut text = table(&["", "CHECK", "FOUND"], &rows);
        if !daemons.is_empty() {
            let rows: Vec<_> = daemons
                .iter()
                .map(|d| {
                    vec![
                        d.pid.to_string(),
                        printable(&d.program),
                        d.threads.to_string(),
                        d.marked.to_string(),
                        d.serves.clone(),
                    ]
                })
                .collect();
            text += "\n";
            text += &table(&["PID", "DAEMON", "THREADS", "MARKED", "SERVES"], &rows);
        }
        text
    };
    write_out(text.as_bytes())?;
    Ok(if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By what it has open before by its name; and not what only looks like it.
    #[test]
    fn daemons_are_known() {
        let dev = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let of = |program, names: &[&str]| serves(program, &dev(names)).map(|(what, _)| what);
        assert_eq!(of("x", &["ublkc12"]).as_deref(), Some("/dev/ublkb12"));
        assert_eq!(of("x", &["ublkc", "ublkc1x", "ublkb0"]), None);
        assert_eq!(
            of("x", &["null", "fuse"]).as_deref(),
            Some("a FUSE filesystem")
        );
        assert_eq!(of("tgtd", &[]).as_deref(), Some("block devices"));
        assert_eq!(of("vim", &["fuse-x", "null"]), None);
    }

    /// NOIO forbids filesystems too; the throttle is another matter.
    #[test]
    fn noio_is_enough_for_nofs() {
        assert!(enough(Scopes::IO_FLUSHER, Scopes::FS_FLUSHER));
        assert!(!enough(Scopes::FS_FLUSHER, Scopes::IO_FLUSHER));
        assert!(!enough(Scopes::NOIO, Scopes::FS_FLUSHER));
    }
}
