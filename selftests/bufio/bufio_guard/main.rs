// SPDX-License-Identifier: GPL-2.0

//! Tests of the buffer cache's Rust API, in the kernel: each is a file in debugfs, in `bufio_guard`,
//! that runs it on `/dev/ram0` when it is read.
//!
//! The crate is the project's own `rust/kapi`, `rust/scope` and `rust/bufio` with tests around them.

// The project's sources, as they are.
#[allow(dead_code)]
#[path = "rust"]
mod project {
    pub(crate) mod bindings;
    pub(crate) mod bufio;
    #[path = "kapi"]
    pub(crate) mod kapi {
        pub(crate) mod atomic;
        pub(crate) mod bdev;
        pub(crate) mod bio;
        pub(crate) mod block_mem;
        pub(crate) mod callback;
        pub(crate) mod counters;
        mod current;
        pub(crate) mod debugfs;
        pub(crate) mod gfp;
        pub(crate) mod params;
        pub(crate) mod rcu_table;
        pub(crate) mod shrinker;
        pub(crate) mod task;
        pub(crate) mod wait;
        pub(crate) mod word;
        pub(crate) mod workqueue;
    }
    pub(crate) mod scope;
}
#[allow(dead_code)]
#[path = "../../scope/scope_guard/testing.rs"]
mod testing;
mod tests;

use project::{bindings, bufio, kapi, scope};

use kernel::{debugfs, fmt, prelude::*, str::CString};

module! {
    type: Module,
    name: "bufio_guard",
    authors: ["The memscope authors"],
    description: "Test of the Rust API of memscope's buffer cache",
    license: "GPL",
}

struct Module {
    // Files before their directory.
    _files: KVec<Pin<KBox<debugfs::File<usize>>>>,
    _directory: debugfs::Dir,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let directory = debugfs::Dir::new(c"bufio_guard");
        let mut files = KVec::new();
        for (number, (name, _)) in tests::TESTS.iter().enumerate() {
            let name = CString::try_from_fmt(fmt!("{number:02}_{name}"))?;
            let file = directory.read_callback_file(&name, Ok::<_, Error>(number), &run);
            files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(Self {
            _files: files,
            _directory: directory,
        })
    }
}

/// Runs a test and prints what came of it.
fn run(number: &usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match tests::TESTS
        .get(*number)
        .map(|(_, test)| testing::run(*test))
    {
        Some(Ok(())) => writeln!(f, "ok"),
        Some(Err(failure)) => f.write_fmt(fmt!("{failure}\n")),
        None => writeln!(f, "no such test"),
    }
}
