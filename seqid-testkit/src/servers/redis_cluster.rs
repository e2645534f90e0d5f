use super::ServerError;
use super::certificates::Certificates;
use super::ports::HOST;
use super::redis::{PASSWORD, RedisServer, url_of};

/// A cluster of three primaries with a replica each, all slots assigned.
#[derive(Debug)]
pub struct RedisCluster {
    /// The nodes.
    pub nodes: Vec<RedisServer>,
    certificates: Option<Certificates>,
}

impl RedisCluster {
    /// Starts it, and waits until each node takes the cluster for whole and each primary has its replica.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start() -> Result<Self, ServerError> {
        Self::start_by(None)
    }

    /// As [`start`](Self::start), all nodes speaking TLS alone.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start_tls(certificates: &Certificates) -> Result<Self, ServerError> {
        Self::start_by(Some(certificates))
    }

    fn start_by(certificates: Option<&Certificates>) -> Result<Self, ServerError> {
        // Nodes that greet one another by TLS need longer on a busy machine, and are given up meanwhile.
        let timeout = if certificates.is_some() { "10000" } else { "1000" };
        let settings = [("cluster-enabled", "yes"), ("cluster-node-timeout", timeout)];
        let nodes: Result<Vec<_>, _> = (0..6)
            .map(|_| RedisServer::start_member(&settings, certificates))
            .collect();
        let cluster = Self {
            nodes: nodes?,
            certificates: certificates.cloned(),
        };
        let addresses = cluster.nodes.iter().map(|node| format!("{HOST}:{}", node.port()));
        let mut command = vec!["--cluster".to_owned(), "create".to_owned()];
        command.extend(addresses);
        command.extend(["--cluster-replicas", "1", "--cluster-yes"].map(str::to_owned));
        cluster.nodes[0].cli(&command)?;
        for node in &cluster.nodes {
            node.until("the cluster to be whole", || {
                let whole = node.cli(&["CLUSTER", "INFO"])?.contains("cluster_state:ok");
                let text = node.cli(&["INFO", "replication"])?;
                let linked = text.contains("state=online") || text.contains("master_link_status:up");
                Ok(whole && linked)
            })?;
        }
        Ok(cluster)
    }

    /// Where drivers connect to, password included.
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("{HOST}:{}", node.port()))
            .collect();
        let place = format!("-cluster://:{PASSWORD}@{}", nodes.join(","));
        url_of("redis", &place, self.certificates.as_ref())
    }

    /// The slot of a key.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::cli`].
    pub fn slot(&self, key: &str) -> Result<u16, ServerError> {
        let answer = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key])?;
        answer.parse().map_err(|_| unreadable(&answer))
    }

    /// The node that is the primary of a slot, in the eyes of a node.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::cli`], and when nobody is.
    pub fn primary_of(&self, slot: u16, by: usize) -> Result<usize, ServerError> {
        let text = self.nodes[by].cli(&["CLUSTER", "SLOTS"])?;
        let mut lines = text.lines().peekable();
        // For each range of slots: first, last, then address, port and name of the primary, then those of replicas.
        while let Some(line) = lines.next() {
            let (Ok(first), Some(Ok(last))) = (line.parse(), lines.peek().map(|last| last.parse::<u16>()))
            else {
                continue;
            };
            if (first..=last).contains(&slot) {
                let port = lines.nth(2).and_then(|port| port.parse::<u16>().ok());
                let node = self.nodes.iter().position(|node| Some(node.port()) == port);
                return node.ok_or_else(|| unreadable(&text));
            }
        }
        Err(unreadable(&text))
    }

    /// Lets a slot begin to move: the target takes its keys, and clients are asked to go there for those that have left.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::cli`].
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) -> Result<(), ServerError> {
        let number = slot.to_string();
        let ids = (self.id(from)?, self.id(to)?);
        self.nodes[to].cli(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &ids.0])?;
        self.nodes[from].cli(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &ids.1])?;
        Ok(())
    }

    /// Moves one key of a slot that [began to move](Self::begin_move).
    ///
    /// # Errors
    ///
    /// As [`RedisServer::cli`].
    pub fn move_key(&self, key: &str, from: usize, to: usize) -> Result<(), ServerError> {
        let port = self.nodes[to].port().to_string();
        let command = ["MIGRATE", HOST, &port, key, "0", "5000", "AUTH", PASSWORD];
        self.nodes[from].cli(&command).map(|_moved| ())
    }

    /// Ends the move of a slot: all primaries send clients to the target.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::cli`].
    pub fn end_move(&self, slot: u16, to: usize) -> Result<(), ServerError> {
        let number = slot.to_string();
        let id = self.id(to)?;
        let is_primary = |node: &&RedisServer| Ok(node.info("role")? == "master");
        self.nodes[to].cli(&["CLUSTER", "SETSLOT", &number, "NODE", &id])?;
        for node in &self.nodes {
            if is_primary(&node)? {
                node.cli(&["CLUSTER", "SETSLOT", &number, "NODE", &id])?;
            }
        }
        Ok(())
    }

    /// Moves a slot with all its keys.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::cli`].
    pub fn move_slot(&self, slot: u16, to: usize) -> Result<(), ServerError> {
        let from = self.primary_of(slot, to)?;
        if from == to {
            return Ok(());
        }
        self.begin_move(slot, from, to)?;
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"])?;
            if keys.is_empty() {
                return self.end_move(slot, to);
            }
            for key in keys.lines() {
                self.move_key(key, from, to)?;
            }
        }
    }

    fn id(&self, node: usize) -> Result<String, ServerError> {
        self.nodes[node].cli(&["CLUSTER", "MYID"])
    }
}

fn unreadable(answer: &str) -> ServerError {
    ServerError::Failed {
        program: "redis-cli".to_owned(),
        output: format!("this was not understood: {answer}"),
    }
}
