// SPDX-License-Identifier: GPL-2.0
// fails: E0521

use crate::bufio::client::Client;
use crate::bufio::guard::Buffer;
use kernel::prelude::*;

fn keep(_: Buffer<'static>) {}

pub(crate) fn f(client: &Client) -> Result {
    keep(client.read(7)?);
    Ok(())
}
