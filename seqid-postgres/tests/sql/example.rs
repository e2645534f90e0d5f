//! `examples/sql_function.sh` and the SQL of `docs/sql.md` do what they say.

use std::process::Command;

use crate::desk::Desk;

const SALES: &str = r#"{"format":"{branch}/{yyyy}/{seq:4}","reset":"year","scope":["branch"]}"#;

#[tokio::test]
async fn the_example_runs_again_and_again() {
    let desk = Desk::new().await;
    desk.define("SINV", SALES).await.unwrap();
    for (round, ids) in [
        ["JKT/2026/0001", "JKT/2026/0002"],
        ["JKT/2026/0003", "JKT/2026/0004"],
    ]
    .iter()
    .enumerate()
    {
        let output = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../examples/sql_function.sh"
        ))
        .arg(desk.database.url())
        .output()
        .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for id in ids {
            assert!(text.contains(&format!("{id}|")), "{id} is not in\n{text}");
        }
        let replayed = if round == 0 { "f" } else { "t" };
        assert!(
            text.contains(&format!("SUB/2026/0001|1|2026|1|1|1|{replayed}\n")),
            "{text}"
        );
        assert!(text.contains("SUB/2026/0001|1|2026|1|1|1|t\n"), "{text}");
        assert!(
            text.contains("SQ002: scope-mismatch: town is not declared"),
            "{text}"
        );
    }
    desk.verify().await;
}

/// The page, with the blocks of SQL run one after another by a role that it creates.
#[tokio::test]
async fn the_statements_of_the_page_run() {
    let desk = Desk::new().await;
    desk.define("INV", r#"{"format":"INV-{seq:3}"}"#).await.unwrap();
    desk.define("SINV", SALES).await.unwrap();
    let role = format!("page_{}", desk.database.name());
    let page = include_str!("../../../docs/sql.md").replace("erp_app", &role);
    let mut session = desk.session().await;
    let mut blocks = 0;
    for block in page.split("```sql\n").skip(1) {
        let (sql, after) = block.split_once("```").unwrap();
        let expected = after
            .split_once("```text\n")
            .filter(|(between, _)| between.trim().is_empty());
        match expected.and_then(|(_, text)| text.split_once("```")) {
            Some((text, _)) if text.starts_with("ERROR") => {
                let (state, message, hint) = session.refused(sql).await;
                assert_eq!(
                    text.trim(),
                    format!("ERROR:  {state}: {message}\nHINT:  {hint}"),
                    "{sql}"
                );
            }
            Some((text, _)) => {
                let found: String = session.one(sql).await;
                assert_eq!(text.trim(), found, "{sql}");
            }
            None => session.run(sql).await,
        }
        blocks += 1;
    }
    assert!(blocks >= 6, "only {blocks} blocks");
    desk.verify().await;
    session
        .run(&format!("RESET SESSION AUTHORIZATION; DROP OWNED BY {role}"))
        .await;
}
