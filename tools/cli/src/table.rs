// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables of text.

/// Columns as wide as their widest cell, numbers to the right; the last is not padded.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let numeric: Vec<bool> = (0..head.len())
        .map(|c| {
            !rows.is_empty()
                && rows
                    .iter()
                    .all(|r| r[c] == "-" || r[c].starts_with(|x: char| x.is_ascii_digit()))
        })
        .collect();
    let width: Vec<usize> = (0..head.len())
        .map(|c| {
            rows.iter()
                .map(|r| r[c].chars().count())
                .chain([head[c].len()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &[&str]| {
        for (c, cell) in cells.iter().enumerate() {
            if c > 0 {
                text.push_str("  ");
            }
            if numeric[c] {
                text.push_str(&format!("{cell:>0$}", width[c]));
            } else if c + 1 < cells.len() {
                text.push_str(&format!("{cell:<0$}", width[c]));
            } else {
                text.push_str(cell);
            }
        }
        text.push('\n');
    };
    line(head);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// A name that another process chose, as it may be shown in a terminal.
pub(crate) fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers stand under one another's last digit, names under the first letter.
    #[test]
    fn columns_are_aligned() {
        let rows = vec![
            vec!["7".into(), "noio".into(), "x".into()],
            vec!["1234".into(), "-".into(), "long".into()],
        ];
        assert_eq!(
            table(&["PID", "SCOPES", "NAME"], &rows),
            " PID  SCOPES  NAME\n   7  noio    x\n1234  -       long\n"
        );
        assert_eq!(table(&["PID", "NAME"], &[]), "PID  NAME\n");
    }

    /// No process can send the terminal commands by its name.
    #[test]
    fn names_cannot_control_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a?[2Jb?");
    }
}
