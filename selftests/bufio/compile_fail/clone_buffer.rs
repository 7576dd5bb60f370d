// SPDX-License-Identifier: GPL-2.0
// fails: E0599

use crate::bufio::client::Client;
use kernel::prelude::*;

pub(crate) fn f(client: &Client) -> Result {
    let block = client.read(7)?;
    drop(block.clone());
    Ok(())
}
