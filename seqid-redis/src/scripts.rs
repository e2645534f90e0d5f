use redis::aio::MultiplexedConnection;
use redis::{RedisError, cmd};

macro_rules! script {
    ($file:literal) => {
        concat!(
            "#!lua\n",
            include_str!("scripts/state.lua"),
            include_str!(concat!("scripts/", $file, ".lua"))
        )
    };
}

/// A script of [`scripts`](self). Those that name their language in the first line are refused as a whole when the server is
/// out of memory, cannot write to its disk, or has too few replicas; the others would be in the middle of their writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Open,
    Seed,
    Draw,
    Extend,
    Close,
}

const TEXTS: [&str; 5] = [
    script!("open"),
    script!("seed"),
    script!("draw"),
    script!("extend"),
    script!("close"),
];

/// What a server calls the scripts that it was given.
#[derive(Debug, Clone)]
pub(crate) struct Loaded([String; 5]);

impl Loaded {
    /// Gives all scripts to a server.
    pub(crate) async fn load(connection: &mut MultiplexedConnection) -> Result<Self, RedisError> {
        let mut names = [const { String::new() }; 5];
        for (name, text) in names.iter_mut().zip(TEXTS) {
            *name = cmd("SCRIPT")
                .arg("LOAD")
                .arg(text)
                .query_async(connection)
                .await?;
        }
        Ok(Self(names))
    }

    pub(crate) fn name(&self, script: Script) -> &str {
        &self.0[script as usize]
    }
}
