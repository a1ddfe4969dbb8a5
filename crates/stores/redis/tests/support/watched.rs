//! A master, a replica and a sentinel.

use super::{Server, until};

/// A master, a replica and a sentinel.
#[derive(Debug)]
pub struct Watched {
    pub master: Server,
    pub replica: Server,
    pub sentinel: Server,
}

impl Watched {
    pub async fn start() -> Self {
        let master = Server::start(&[]);
        let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
        until("the replica follows its master", || async {
            let info: String = replica.ask(&["INFO", "replication"]).await;
            info.contains("master_link_status:up")
        })
        .await;
        let sentinel = Server::start_sentinel(master.port, "");
        until("the sentinel knows the replica", || async {
            let master: std::collections::HashMap<String, String> =
                sentinel.ask(&["SENTINEL", "MASTER", "mymaster"]).await;
            master.get("num-slaves").is_some_and(|count| count == "1")
        })
        .await;
        Self { master, replica, sentinel }
    }

    /// The replica becomes the master, and the master its replica.
    pub async fn fail_over(&self) {
        until("the sentinel agrees to a failover", || async {
            let failover = redis::cmd("SENTINEL").arg("FAILOVER").arg("mymaster").to_owned();
            failover.exec_async(&mut self.sentinel.admin().await).await.is_ok()
        })
        .await;
        until("the old master is a replica", || async {
            let info: String = self.master.ask(&["INFO", "replication"]).await;
            info.contains("role:slave")
        })
        .await;
    }
}
