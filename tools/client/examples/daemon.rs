// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a daemon in Rust marks itself: once, before it serves.

use memscope::{Client, Device, Mark, Scopes};
use std::{io::Read, thread};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Every thread, those to come as well, as long as this lives. The programs that the daemon
    // starts are not marked.
    let device = Device::from_systemd().unwrap_or_else(Device::open);
    let hold = device.and_then(|d| d.hold(&Mark::process(Scopes::IO_FLUSHER)));
    if let Err(e) = &hold {
        eprintln!("memscope: {e}");
        // Without the module: this thread, and those that it creates.
        Client::new().add(Scopes::IO_FLUSHER)?;
    }

    // Stands for what serves requests.
    thread::spawn(thread::park);
    println!("serving");
    // ... until there is nobody to serve.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
