//! What is looked at when a token store is opened.

use authflow_core::Shard;
use redis::{Value, cmd};

use super::place::{Kind, hides_tags, shard_key};
use super::script::Scripts;
use crate::config::{Evictions, RedisConfig};
use crate::error::{ConnectError, Failure};
use crate::sentinel::text;
use crate::server::Server;

/// Looks at each server that has any of the shards.
pub(super) async fn check(server: &Server, config: &RedisConfig) -> Result<Scripts, ConnectError> {
    if hides_tags(&config.prefix) {
        return Err(ConnectError::Settings("the key prefix has `{}`, which hides the hash tags behind it"));
    }
    let slot = |shard| server.slot(&shard_key(&config.prefix, shard, Kind::Walk));
    let slots = server.one_for_each_server(Shard::all().map(slot));
    let mut scripts = None;
    for shard in Shard::all() {
        let at = slot(shard);
        // Without slots all shards are in one.
        if !slots.contains(&at) || (scripts.is_some() && slots.len() == 1) {
            continue;
        }
        // A server that wants a password takes nothing from strangers that is as long as the probe.
        server.call(&cmd("TIME"), at).await.map_err(Failure::at_start)?;
        let info = server.info(at).await?;
        let probes = [false, true].map(|which| shard_key(&config.prefix, shard, Kind::Probe(which)));
        let probed = Scripts::probe(server, [&probes[0], &probes[1]]).await;
        scripts = Some(probed.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.code() == "CLUSTERDOWN" => ConnectError::NotACluster,
            failure => failure.at_start(),
        })?);
        if config.evictions == Evictions::Refused {
            let told = match info.find("maxmemory_policy") {
                Some(policy) => Some(policy.to_owned()),
                None => ask_policy(server, at).await,
            };
            check_policy(told)?;
        }
    }
    scripts.ok_or(ConnectError::NotACluster)
}

async fn ask_policy(server: &Server, slot: u16) -> Option<String> {
    let mut question = cmd("CONFIG");
    question.arg("GET").arg("maxmemory-policy");
    match server.call(&question, slot).await {
        Ok(Value::Array(answer)) => answer.get(1).and_then(text).map(str::to_owned),
        _ => None,
    }
}

/// What has no time to live is not evicted by `volatile-*`, and no connection has one.
fn check_policy(policy: Option<String>) -> Result<(), ConnectError> {
    match policy {
        Some(policy) if policy == "noeviction" || policy.starts_with("volatile-") => Ok(()),
        Some(policy)
            if policy.len() < 32 && policy.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') =>
        {
            Err(ConnectError::Evicts { policy })
        }
        _ => Err(ConnectError::EvictionUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::check_policy;
    use crate::error::ConnectError;

    #[test]
    fn f27_what_evicts_connections_is_refused() {
        for policy in ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
            check_policy(Some(policy.to_owned())).unwrap();
        }
        for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-of-the-future"] {
            let error = check_policy(Some(policy.to_owned())).unwrap_err();
            assert!(matches!(&error, ConnectError::Evicts { policy: told } if told == policy), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("noeviction") && !text.contains("RedisConfig"), "{text}");
        }
        for policy in [None, Some(String::new() + "\x1b[2J"), Some("x".repeat(40))] {
            let error = check_policy(policy).unwrap_err();
            assert!(matches!(error, ConnectError::EvictionUnknown), "{error:?}");
        }
    }
}
