// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use memscope::Scopes;
use std::ffi::OsString;

/// Keep memory reclaim out of the way of storage daemons
#[derive(Parser)]
#[command(
    name = "memscope",
    version,
    after_help = "Exit status: 0 done; 1 failed, or doctor found a problem; 2 wrong usage; \
                  3 marked, but some threads have still to change; for run and delegate: 125 could \
                  not mark or delegate, 126 the command could not be started, 127 it was not found, else that of the \
                  command.\nMore in memscope(1)."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Mark this process, then become COMMAND
    Run(Run),
    /// Become COMMAND with a descriptor by which it can mark itself, without the capability
    Delegate(Delegate),
    /// Take back what was delegated to a running process
    Revoke(Revoke),
    /// Mark every thread of a running process, in place of the marks that it has
    Mark(Mark),
    /// Take every mark of a running process away
    Clear(Clear),
    /// Show who is marked
    Status(Status),
    /// Show who is marked and what it costs them, live
    Top(Top),
    /// Check that memscope can be used, and look for storage daemons that are not marked
    Doctor(Doctor),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// Which scopes.
#[derive(Args)]
#[group(required = false, multiple = false)]
pub(crate) struct Which {
    /// It serves a block device: no I/O from its allocations, dirty pages are counted by device
    /// (default)
    #[arg(long)]
    io: bool,
    /// It serves a filesystem: its allocations enter no filesystem, but may swap
    #[arg(long)]
    fs: bool,
    /// These scopes: a list of noio, nofs, local-throttle
    #[arg(long, value_name = "LIST")]
    scopes: Option<Scopes>,
}

impl Which {
    pub(crate) fn scopes(&self) -> Scopes {
        match self.scopes {
            Some(scopes) => scopes,
            None if self.fs => Scopes::FS_FLUSHER,
            None => Scopes::IO_FLUSHER,
        }
    }
}

/// What to become.
#[derive(Args)]
pub(crate) struct Program {
    /// The command with its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND",
        value_hint = clap::ValueHint::CommandWithArguments
    )]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Start COMMAND unmarked, with a warning, where it cannot be marked
    #[arg(long)]
    pub(crate) if_possible: bool,
    #[command(flatten)]
    pub(crate) program: Program,
}

#[derive(Args)]
pub(crate) struct Delegate {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only for processes with this effective user id
    #[arg(long)]
    pub(crate) uid: Option<u32>,
    /// Only for the first process that uses it
    #[arg(long)]
    pub(crate) first: bool,
    #[command(flatten)]
    pub(crate) program: Program,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// A process that has the descriptor open
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: i32,
}

/// How to mark another process.
#[derive(Args)]
pub(crate) struct Other {
    /// The process
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: i32,
    /// Only its first thread
    #[arg(long)]
    pub(crate) thread: bool,
    /// Leave threads that sleep in a system call to finish it
    #[arg(long)]
    pub(crate) no_interrupt: bool,
    /// How long to wait for the threads to change, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    pub(crate) timeout: u32,
}

#[derive(Args)]
pub(crate) struct Mark {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) other: Other,
}

#[derive(Args)]
pub(crate) struct Clear {
    #[command(flatten)]
    pub(crate) other: Other,
}

#[derive(Args)]
pub(crate) struct Status {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Each thread, not only each process
    #[arg(long)]
    pub(crate) threads: bool,
    /// Only these processes
    #[arg(value_name = "PID")]
    pub(crate) pids: Vec<u32>,
}

#[derive(Args)]
pub(crate) struct Top {
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) delay: f64,
    /// End after so many looks (default: when q is pressed; 1 where the output is no terminal)
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) iterations: Option<u64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if (0.1..=3600.0).contains(&n) => Ok(n),
        _ => Err("not a number of seconds from 0.1 to 3600".into()),
    }
}

#[derive(Args)]
pub(crate) struct Doctor {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// What clap asks of a definition, and nothing is ambiguous.
    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// Everything from the command on is the command's, options included.
    #[test]
    fn options_of_the_command_are_its_own() {
        for args in [
            &["memscope", "run", "--fs", "--", "bindfs", "--fs", "-f"][..],
            &["memscope", "run", "--fs", "bindfs", "--fs", "-f"],
        ] {
            let Command::Run(run) = Cli::parse_from(args).command else {
                panic!()
            };
            assert_eq!(run.which.scopes(), Scopes::FS_FLUSHER);
            assert_eq!(run.program.command, ["bindfs", "--fs", "-f"]);
        }
    }

    /// Without a choice it is IO_FLUSHER; two choices, no command and no process are refused.
    #[test]
    fn choices() {
        let Command::Mark(mark) = Cli::parse_from(["memscope", "mark", "1"]).command else {
            panic!()
        };
        assert_eq!(mark.which.scopes(), Scopes::IO_FLUSHER);
        for bad in [
            &["memscope", "run", "--io", "--fs", "true"][..],
            &["memscope", "run"],
            &["memscope", "delegate", "--io"],
            &["memscope", "mark"],
            &["memscope", "mark", "0"],
            &["memscope", "mark", "--scopes", "memalloc", "1"],
            &["memscope", "clear", "--io", "1"],
            &["memscope", "top", "-d", "0"],
        ] {
            assert!(Cli::try_parse_from(bad).is_err(), "{bad:?}");
        }
    }
}
