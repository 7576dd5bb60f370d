// SPDX-License-Identifier: MIT OR Apache-2.0

//! `memscope run` and `memscope delegate`: what becomes another program.

use crate::{cli, Failure};
use memscope::{Client, Delegation, Device, ErrorKind, Mark, Scopes};
use rustix::{
    fd::{AsRawFd, OwnedFd},
    io::{fcntl_dupfd_cloexec, fcntl_setfd, FdFlags},
};
use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

/// As env(1) and nohup(1) have it: this program failed, and not the command.
const NOT_RUN: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

fn command(program: &cli::Program) -> Command {
    let mut command = Command::new(&program.command[0]);
    command.args(&program.command[1..]);
    command
}

fn become_command(mut command: Command) -> ExitCode {
    let error = command.exec();
    let program = command.get_program().to_string_lossy();
    eprintln!("memscope: {program}: {error}");
    match error.kind() {
        std::io::ErrorKind::NotFound => NOT_FOUND.into(),
        _ => NOT_EXECUTABLE.into(),
    }
}

/// How many descriptors were passed to this process, as in sd_listen_fds(3).
fn passed_descriptors() -> u32 {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    }
}

/// Leaves the descriptor open for the program that this one becomes.
fn pass_on(fd: OwnedFd) -> Result<(), Failure> {
    fcntl_setfd(&fd, FdFlags::empty())?;
    std::mem::forget(fd);
    Ok(())
}

pub(crate) fn run(args: &cli::Run) -> ExitCode {
    let mut command = command(&args.program);
    match mark_self(args.which.scopes()) {
        Ok(Passed::No) => {}
        // The command is not to take it for something else.
        Ok(Passed::Only) => {
            for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
                command.env_remove(name);
            }
        }
        Err(e) if !args.if_possible => {
            eprintln!("memscope: {e}");
            return NOT_RUN.into();
        }
        Err(e) => eprintln!("memscope: {e}; going on unmarked"),
    }
    become_command(command)
}

/// Whether the device was passed as the only descriptor.
enum Passed {
    No,
    Only,
}

/// Adds scopes to what is inherited, in a way that the program keeps which this one becomes.
fn mark_self(scopes: Scopes) -> Result<Passed, Failure> {
    let number = passed_descriptors();
    let Some(Ok(device)) = Device::from_systemd() else {
        Client::new().add(scopes)?;
        return Ok(Passed::No);
    };
    let marked = device
        .scopes()
        .and_then(|now| device.mark(&Mark::thread(now | scopes)));
    match marked {
        Ok(_) if number == 1 => return Ok(Passed::Only),
        // The others are where they were.
        Ok(_) => pass_on(device.into())?,
        // A delegated one holds as long as it is open.
        Err(e) if e.kind() == ErrorKind::NoPermission => {
            match device.hold(&Mark::process(scopes)) {
                Ok(hold) => pass_on(hold.into())?,
                Err(again) if again.kind() == ErrorKind::NoPermission => return Err(e.into()),
                Err(again) => return Err(again.into()),
            }
        }
        Err(e) => return Err(e.into()),
    }
    Ok(if number == 1 {
        Passed::Only
    } else {
        Passed::No
    })
}

pub(crate) fn delegate(args: &cli::Delegate) -> ExitCode {
    let mut command = command(&args.program);
    if let Err(e) = delegate_to(args, &mut command) {
        eprintln!("memscope: {e}");
        return NOT_RUN.into();
    }
    become_command(command)
}

/// Opens the device, delegates it, and passes it on behind what was passed to this process.
fn delegate_to(args: &cli::Delegate, command: &mut Command) -> Result<(), Failure> {
    const FIRST: i32 = 3;
    let device = Device::open()?;
    device.delegate(&Delegation {
        uid: args.uid,
        first: args.first,
        ..Delegation::new(args.which.scopes())
    })?;
    let before = passed_descriptors();
    let number = FIRST + i32::try_from(before)?;
    let mut fd = OwnedFd::from(device);
    if fd.as_raw_fd() != number {
        // The lowest that is free from there on.
        fd = fcntl_dupfd_cloexec(&fd, number)?;
    }
    if fd.as_raw_fd() != number {
        return Err(format!("descriptor {number}, by which it is passed, is in use").into());
    }
    pass_on(fd)?;
    let mut names = vec!["unknown".to_owned(); before as usize];
    if let Ok(given) = env::var("LISTEN_FDNAMES") {
        for (name, given) in names.iter_mut().zip(given.split(':')) {
            given.clone_into(name);
        }
    }
    names.push("memscope".into());
    command
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDS", (before + 1).to_string())
        .env("LISTEN_FDNAMES", names.join(":"));
    Ok(())
}
