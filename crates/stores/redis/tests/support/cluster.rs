//! Six nodes: three masters, three replicas.

use authflow_redis::{RedisConfig, RedisStateStore};

use super::{Server, run, until};

/// Six nodes: three masters, three replicas.
#[derive(Debug)]
pub struct Cluster(pub Vec<Server>);

impl Cluster {
    pub async fn start() -> Self {
        let options = "--cluster-enabled yes --cluster-node-timeout 1000";
        let user = "--user app on >hunter2 ~authflow:* -@all +set +getdel +cluster|slots";
        let options: Vec<_> = options.split(' ').chain(user.split(' ')).collect();
        let nodes: Vec<_> = (0..6).map(|_| Server::start(&options)).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let addresses = addresses.iter().map(String::as_str);
        let create = ["--cluster", "create"].into_iter().chain(addresses);
        let create: Vec<_> = create.chain(["--cluster-replicas", "1", "--cluster-yes"]).collect();
        run("redis-cli", &create);
        let cluster = Self(nodes);
        for node in &cluster.0 {
            until("the node is in the cluster, and its master has it", || async {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                let replication: String = node.ask(&["INFO", "replication"]).await;
                info.contains("cluster_state:ok")
                    && info.contains("cluster_known_nodes:6")
                    && (replication.contains("master_link_status:up")
                        || replication.contains("connected_slaves:1"))
            })
            .await;
        }
        cluster
    }

    /// By one node; the others are found.
    pub async fn connect(&self) -> RedisStateStore {
        RedisStateStore::connect(RedisConfig::cluster([self.0[0].url()]).unwrap()).await.unwrap()
    }

    /// How often all nodes together carried a command out. A replica counts what its master passes on.
    pub async fn calls(&self, command: &str) -> u64 {
        let mut sum = 0;
        for at in self.masters().await {
            sum += self.0[at].calls(command).await;
        }
        sum
    }

    pub async fn masters(&self) -> Vec<usize> {
        let mut masters = Vec::new();
        for (at, node) in self.0.iter().enumerate() {
            let info: String = node.ask(&["INFO", "replication"]).await;
            if info.contains("role:master") {
                masters.push(at);
            }
        }
        masters
    }

    /// The master that holds the only key.
    pub async fn holder(&self) -> usize {
        for at in self.masters().await {
            if self.0[at].ask::<usize>(&["DBSIZE"]).await == 1 {
                return at;
            }
        }
        panic!("no master holds the key");
    }

    /// Each of the `keys` that there are is on a master and on its replica.
    pub async fn until_copied(&self, keys: usize) {
        until("the replica has what its master has", || async {
            let mut copies = 0;
            for node in &self.0 {
                copies += node.ask::<usize>(&["DBSIZE"]).await;
            }
            copies == 2 * keys
        })
        .await;
    }
}
