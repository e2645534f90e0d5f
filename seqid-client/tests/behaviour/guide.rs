//! The snippet of the guide works, and is the one in the guide.

use crate::hall::{Instance, issuer};

mod snippet {
    include!("snippet.rs");
}

#[tokio::test]
async fn the_snippet_of_the_guide_works() {
    let instance = Instance::open(issuer()).await;
    assert_eq!(snippet::invoice_number(&instance.url()).await.unwrap(), "INV-001");
}

#[test]
fn the_guide_has_the_snippet() {
    let guide = include_str!("../../../docs/rust.md");
    let snippet = include_str!("snippet.rs");
    assert!(guide.contains(snippet.trim()), "docs/rust.md has another snippet");
}
