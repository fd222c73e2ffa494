//! `make docs`: `sluice-book lay-out ROOT FOLDER` writes what mdBook makes the book of, and
//! `sluice-book look BOOK` fails where a link of what it made leads nowhere.

use std::path::Path;

use anyhow::bail;
use sluice_book::build;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["lay-out", root, folder] => build::lay_out(Path::new(root), Path::new(folder)),
        ["look", book] => {
            let dead_ends = build::dead_ends(Path::new(book))?;
            if !dead_ends.is_empty() {
                bail!("{}", dead_ends.join("\n"));
            }
            Ok(())
        }
        other => bail!("{other:?}; accepted: lay-out ROOT FOLDER, look BOOK"),
    }
}
