use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, cmd};
use sha2::{Digest, Sha256};

/// A function of [`scripts`](self). All are refused as a whole when the server is out of memory, cannot write to its disk, or
/// has too few replicas: none is stopped in the middle of its writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Open,
    Seed,
    Draw,
    Extend,
    Close,
}

const SHARED: &str = include_str!("scripts/state.lua");
/// The name and the body of each, in the order of [`Script`].
const BODIES: [(&str, &str); 5] = [
    ("open", include_str!("scripts/open.lua")),
    ("seed", include_str!("scripts/seed.lua")),
    ("draw", include_str!("scripts/draw.lua")),
    ("extend", include_str!("scripts/extend.lua")),
    ("close", include_str!("scripts/close.lua")),
];

/// All functions as one library of Redis. It is a library and no set of scripts because a library remembers: what a script knew
/// would have to be in keys, which go back in time.
///
/// It is named after its text, so that another release of it is another library beside this one, with a memory of its own.
static LIBRARY: LazyLock<Library> = LazyLock::new(Library::write);

#[derive(Debug)]
struct Library {
    text: String,
    names: [String; 5],
}

impl Library {
    fn write() -> Self {
        let mut hash = Sha256::new();
        hash.update(SHARED);
        for (_, body) in BODIES {
            hash.update(body);
        }
        let digits: String = hash.finalize()[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let library = format!("seqid_{digits}");
        let names = BODIES.map(|(name, _)| format!("{library}_{name}"));
        let mut text = format!("#!lua name={library}\n{SHARED}");
        for (name, (_, body)) in names.iter().zip(BODIES) {
            text += &format!("redis.register_function('{name}', function(KEYS, ARGV)\n{body}end)\n");
        }
        Self { text, names }
    }
}

/// Gives the functions to a server that does not have them. One that does keeps what it remembers.
pub(crate) async fn load(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let loaded: Result<(), RedisError> = cmd("FUNCTION")
        .arg("LOAD")
        .arg(&LIBRARY.text)
        .query_async(connection)
        .await;
    match loaded {
        Err(error) if error.to_string().contains("already exists") => Ok(()),
        loaded => loaded,
    }
}

pub(crate) fn name(script: Script) -> &'static str {
    &LIBRARY.names[script as usize]
}
