//! A network that falls silent: what is sent to an address and from it is lost, and nobody is told.
//!
//! Everything of the tests is on loopback, which loses nothing, and not every kernel has filters
//! that could. So the packets of that address are sent into a cable whose other end takes none of
//! them: they are not for it. The namespaces of the tests are their own, and so are these routes.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

/// The rules by which packets are routed before they are found to be local.
const RULES: &str = "rule add pref 10 lookup local
rule del pref 0
link add cut type veth peer name cut-end
link set cut arp off up
link set cut-end up
route add default dev cut src 127.0.0.1 table 100";

/// Where Linux says of that cable whether it takes packets of 127.0.0.0/8.
const TAKES_LOOPBACK: &str = "/proc/sys/net/ipv4/conf/cut/route_localnet";

/// A cut, which is mended when it is dropped.
#[derive(Debug)]
pub struct Cut {
    address: IpAddr,
}

impl Cut {
    /// Cuts an address off: open connections stay, and new ones are neither made nor refused.
    pub fn of(address: IpAddr) -> Self {
        if !Path::new(TAKES_LOOPBACK).exists() {
            for line in RULES.lines() {
                ip(line);
            }
            std::fs::write(TAKES_LOOPBACK, "1").unwrap();
        }
        let cut = Self { address };
        cut.rules("add");
        cut
    }

    fn rules(&self, verb: &str) {
        for way in ["to", "from"] {
            ip(&format!(
                "rule {verb} pref 5 {way} {} lookup 100",
                self.address
            ));
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.rules("del");
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    let status = status.expect("ip, of iproute2");
    assert!(status.success(), "ip {arguments}: {status}");
}
