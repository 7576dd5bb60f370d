// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command `memscope`; memscope(1) is its description.

mod cli;
mod doctor;
mod marks;
mod procfs;
mod revoke;
mod run;
mod status;
mod table;
mod top;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use std::{io::ErrorKind, process::ExitCode};

/// Marked, but not on every thread yet.
const SOME_REMAIN: u8 = 3;

/// What is printed behind "memscope: " when a subcommand fails.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => return run::run(&args),
        Command::Delegate(args) => return run::delegate(&args),
        Command::Revoke(args) => revoke::revoke(args.pid),
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
