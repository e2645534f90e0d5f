//! Programs that use seqid. Run one with `cargo run -p seqid-examples --example embed`.
