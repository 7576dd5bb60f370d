// SPDX-License-Identifier: GPL-2.0
// fails: E0505

use crate::bufio::client::Client;
use kernel::prelude::*;

pub(crate) fn f(client: &Client) -> Result<bool> {
    let block = client.read(7)?;
    let aux = block.aux::<u64>();
    drop(block);
    Ok(aux.is_some())
}
