// SPDX-License-Identifier: GPL-2.0
// fails: E0515

use crate::bufio::client::Client;
use crate::bufio::guard::Buffer;
use kernel::prelude::*;

pub(crate) fn f<'c>(client: Client) -> Result<Buffer<'c>> {
    client.read(7)
}
