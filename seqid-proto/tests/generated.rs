//! The committed code and descriptor are those of the proto file.
//!
//! `SEQID_WRITE_PROTO=1 cargo test -p seqid-proto` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

#[test]
fn the_committed_code_is_that_of_the_proto_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = tempfile::tempdir().unwrap();
    let set = protox::compile([root.join("proto/sequentialid.proto")], [root.join("proto")]).unwrap();
    fs::write(made.path().join("sequentialid.bin"), set.encode_to_vec()).unwrap();
    tonic_prost_build::configure()
        .out_dir(made.path())
        .btree_map(".")
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .build_transport(false)
        .compile_fds(set)
        .unwrap();
    for name in ["sequentialid.rs", "sequentialid.bin"] {
        let committed = root.join("src/generated").join(name);
        same(&made.path().join(name), &committed);
    }
}

/// Compares two files, or makes the second as the first where that is asked for.
fn same(made: &Path, committed: &PathBuf) {
    if std::env::var_os("SEQID_WRITE_PROTO").is_some() {
        fs::copy(made, committed).unwrap();
    }
    assert!(
        fs::read(made).unwrap() == fs::read(committed).unwrap_or_default(),
        "{} is not what the proto file makes: SEQID_WRITE_PROTO=1 cargo test -p seqid-proto",
        committed.display()
    );
}
