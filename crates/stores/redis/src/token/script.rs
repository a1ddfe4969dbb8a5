//! The scripts that Redis carries out, and how they are called.

use redis::{Cmd, Value};

use crate::error::{Cause, Failure, NOT_REDIS};
use crate::sentinel::text;
use crate::server::Server;

macro_rules! scripts {
    ($($name:ident $file:literal)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Script {
            $($name),+
        }

        impl Script {
            /// In the order of their numbers.
            const SOURCES: &[&str] =
                &[$(concat!(include_str!("lua/common.lua"), include_str!(concat!("lua/", $file)))),+];
        }
    };
}

scripts! {
    Put "put.lua"
    Load "load.lua"
    Lease "lease.lua"
    Renew "renew.lua"
    Release "release.lua"
    Save "save.lua"
    Remove "remove.lua"
    List "list.lua"
    Due "due.lua"
    Walk "walk.lua"
}

const PROBE: &str = concat!(include_str!("lua/common.lua"), include_str!("lua/probe.lua"));

/// By what names Redis knows the scripts: their SHA-1, as the server itself computes it. A name that is wrong costs a second
/// round trip each time, and nothing else.
#[derive(Debug)]
pub(super) struct Scripts {
    names: Vec<String>,
}

impl Scripts {
    /// Tries everything that the scripts do, with two keys of one slot.
    pub(super) async fn probe(server: &Server, keys: [&[u8]; 2]) -> Result<Self, Failure> {
        let sources: Vec<_> = Script::SOURCES.iter().map(|source| source.as_bytes()).collect();
        let answer = server.call(&command("EVAL", PROBE, &keys, &sources), server.slot(keys[0])).await?;
        let names = match &answer {
            Value::Array(names) => names.iter().filter_map(|name| text(name).map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        if names.len() != sources.len() {
            return Err(Failure::Lost(Cause::new(NOT_REDIS)));
        }
        Ok(Self { names })
    }

    /// One round trip, but for a server that does not have the script yet: that one did nothing, and is told the script.
    ///
    /// All keys are of one slot.
    pub(super) async fn call(
        &self,
        server: &Server,
        script: Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, Failure> {
        let slot = keys.first().map_or(0, |key| server.slot(key));
        let number = script as usize;
        let name = self.names.get(number).map_or("", String::as_str);
        let send = async |cmd: Cmd| match script {
            Script::Due | Script::Walk => server.scan(&cmd, slot).await,
            _ => server.call(&cmd, slot).await,
        };
        match send(command("EVALSHA", name, keys, arguments)).await {
            Err(Failure::Refused(refusal)) if refusal.code() == "NOSCRIPT" => {
                let source = Script::SOURCES.get(number).copied().unwrap_or_default();
                send(command("EVAL", source, keys, arguments)).await
            }
            answer => answer,
        }
    }
}

fn command(verb: &str, script: &str, keys: &[&[u8]], arguments: &[&[u8]]) -> Cmd {
    let bytes: usize = keys.iter().chain(arguments).map(|part| part.len() + 16).sum();
    let mut cmd = Cmd::with_capacity(3 + keys.len() + arguments.len(), script.len() + bytes + 64);
    cmd.arg(verb).arg(script).arg(keys.len());
    for part in keys.iter().chain(arguments) {
        cmd.arg(*part);
    }
    cmd
}
