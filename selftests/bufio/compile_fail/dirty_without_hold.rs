// SPDX-License-Identifier: GPL-2.0
// fails: E0599

use crate::bufio::client::Client;

pub(crate) fn f(client: &Client) {
    let _ = client.mark_dirty(7, 8);
}
