// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command `memscope`; memscope(1) is its description.

mod cli;
mod doctor;
mod marks;
mod procfs;
mod status;
mod table;
mod top;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use std::{io::ErrorKind, os::unix::process::CommandExt, process::ExitCode};

/// Marked, but not on every thread yet.
const SOME_REMAIN: u8 = 3;
/// As env(1) and nohup(1) have it: this program failed, and not the command.
const NOT_RUN: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What is printed behind "memscope: " when a subcommand fails.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => return run(&args),
        Command::Mark(args) => marks::mark(&args.other, args.which.scopes()),
        Command::Clear(args) => marks::mark(&args.other, memscope::Scopes::empty()),
        Command::Status(args) => status::status(&args),
        Command::Top(args) => top::top(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "memscope", &mut script);
            write_out(&script)
        }
    };
    result.unwrap_or_else(|e| {
        eprintln!("memscope: {e}");
        ExitCode::FAILURE
    })
}

/// Writes to the standard output; that nobody reads it any more is no failure.
fn write_out(text: &[u8]) -> Result<ExitCode, Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn run(args: &cli::Run) -> ExitCode {
    // In addition to what is inherited; execve() keeps it.
    if let Err(e) = memscope::Client::new().add(args.which.scopes()) {
        if !args.if_possible {
            eprintln!("memscope: {e}");
            return NOT_RUN.into();
        }
        eprintln!("memscope: {e}; going on unmarked");
    }
    let error = std::process::Command::new(&args.command[0])
        .args(&args.command[1..])
        .exec();
    eprintln!("memscope: {}: {error}", args.command[0].to_string_lossy());
    match error.kind() {
        ErrorKind::NotFound => NOT_FOUND.into(),
        _ => NOT_EXECUTABLE.into(),
    }
}
