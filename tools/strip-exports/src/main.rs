//! Removes the exports that the filter does not use from the linked module, and the code that only
//! they reached.
//!
//! The SDK exports every callback of the ABI, and Envoy calls whatever is exported, for every body
//! chunk too (docs/semantics.md, "In Envoy"). `make wasm` runs this after linking: `strip-exports
//! IN OUT KEEP...`.

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, keep @ ..] = arguments.as_slice() else {
        bail!("usage: strip-exports IN.wasm OUT.wasm EXPORT...");
    };
    let mut module =
        walrus::Module::from_file(input).with_context(|| format!("reading {input}"))?;
    for wanted in keep {
        if module.exports.iter().all(|export| export.name != *wanted) {
            bail!("{input} does not export {wanted}: a callback was lost, or its name is wrong");
        }
    }
    let unused: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !keep.contains(&export.name))
        .map(|export| export.id())
        .collect();
    for export in unused {
        module.exports.delete(export);
    }
    walrus::passes::gc::run(&mut module);
    module
        .emit_wasm_file(output)
        .with_context(|| format!("writing {output}"))
}
