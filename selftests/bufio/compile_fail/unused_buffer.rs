// SPDX-License-Identifier: GPL-2.0
// fails: "unused"

use crate::bufio::client::Client;
use kernel::prelude::*;

pub(crate) fn f(client: &Client) -> Result {
    client.read(7)?;
    Ok(())
}
