//! `make fuzz-adapters`: random requests through both adapters and the core, for so many seconds. Exit
//! code 1 and a description at the first difference.

#![allow(clippy::unwrap_used, reason = "a tool of the checkout fails loudly")]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use sluice_e2e::differences::search;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(60, |text| text.parse().unwrap());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let seed = arguments
        .next()
        .map_or(now.as_secs(), |text| text.parse().unwrap());
    println!("seed {seed}");
    let ends = Instant::now() + Duration::from_secs(seconds);
    match search(seed, |_| Instant::now() < ends).await {
        Ok(requests) => {
            println!("{requests} requests, no difference");
            ExitCode::SUCCESS
        }
        Err(difference) => {
            println!("{difference}");
            ExitCode::FAILURE
        }
    }
}
