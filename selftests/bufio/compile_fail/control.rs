// SPDX-License-Identifier: GPL-2.0
// compiles: what all the others do, done right (the example of rust/bufio/guard.rs)

use crate::{
    bufio::{
        client::{Client, Options},
        global::Global,
    },
    kapi::bdev::Bdev,
};
use kernel::prelude::*;

pub(crate) fn f() -> Result {
    let device = Bdev::open(c"/dev/vda")?;
    let client = Client::new(Global::new()?, Options::new(device, 4096), None)?;
    let block = client.read(7)?;
    let mut magic = [0; 8];
    block.read_at(0, &mut magic)?;
    if magic != *b"example\0" {
        block.write_at(0, b"example\0")?;
    }
    block.mark_dirty(0, 8)?;
    drop(block);
    client.write_dirty()?;
    drop(client);
    Ok(())
}
