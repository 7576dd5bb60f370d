// SPDX-License-Identifier: GPL-2.0
// fails: E0308

use crate::bufio::client::Client;
use kernel::prelude::*;

pub(crate) fn f(client: &Client) -> Result<u8> {
    let block = client.read(7)?;
    let bytes: &mut [u8] = &mut block;
    Ok(bytes[0])
}
