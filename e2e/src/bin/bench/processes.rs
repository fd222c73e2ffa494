//! What a process has used so far, as Linux tells it in /proc.

/// CPU time of a process so far, in seconds, from the nanoseconds of each of its threads.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    tasks.filter_map(nanoseconds).sum::<f64>() / 1e9
}

/// The linear memories of a process: what V8 has opened at the start of each of its reservations of
/// 4 GiB and more.
pub(crate) fn linear_memories(pid: u32) -> Vec<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?, words.next()?.to_owned()))
    };
    let maps: Vec<_> = maps.lines().filter_map(parse).collect();
    let is_memory = |pair: &&[(u64, u64, String)]| {
        let [(_, open_end, open), (guard_start, guard_end, guard)] = pair else {
            return false;
        };
        open == "rw-p"
            && guard == "---p"
            && open_end == guard_start
            && guard_end - guard_start > 4_000_000_000
    };
    maps.windows(2)
        .filter(is_memory)
        .map(|pair| pair[0].1 - pair[0].0)
        .collect()
}

/// A process' resident memory, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes = line.split_whitespace().next().unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}
