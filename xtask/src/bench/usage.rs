//! What processes use, as `/proc` tells it.

use std::{collections::HashMap, fs};

/// The kernel counts processor time for `/proc` in hundredths of a second on every system we run on.
const TICK: f64 = 0.01;

/// One line of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    parent: u32,
    /// Its own time and that of its children which have ended and were waited for.
    ticks: u64,
}

/// The processor time that a process and all below it have used, in seconds.
pub(super) fn cpu_seconds(root: u32) -> f64 {
    let stats = stats();
    let ticks: u64 = tree(root, &stats)
        .iter()
        .filter_map(|pid| stats.get(pid))
        .map(|stat| stat.ticks)
        .sum();
    ticks as f64 * TICK
}

/// The memory that a process and all below it have to themselves, with their share of what they share,
/// in MiB.
pub(super) fn memory(root: u32) -> f64 {
    let kib: u64 = tree(root, &stats())
        .into_iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok())
        .filter_map(|text| proportional(&text))
        .sum();
    kib as f64 / 1024.0
}

fn stats() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, stat(&line)?))
        })
        .collect()
}

fn tree(root: u32, stats: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = stats.iter().filter(|(_, stat)| stat.parent == parent);
        found.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// The name, in parentheses, may hold anything, so what follows the last one is counted.
fn stat(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: Option<Vec<u64>> = fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse().ok())
        .collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks?.iter().sum(),
    })
}

fn proportional(smaps: &str) -> Option<u64> {
    let line = smaps.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_process_and_its_former_children_are_added() {
        let line = "42 (a (b) c) S 7 42 42 0 -1 4194304 100 0 0 0 5 6 70 80 20 0 4 0 1 1 1";
        let (parent, ticks) = (7, 5 + 6 + 70 + 80);
        assert_eq!(stat(line), Some(Stat { parent, ticks }));
        assert_eq!(stat("nonsense"), None);
    }

    #[test]
    fn a_tree_holds_all_below_and_nobody_else() {
        let stat = |parent| Stat { parent, ticks: 1 };
        let stats = HashMap::from([(1, stat(0)), (2, stat(1)), (3, stat(2)), (4, stat(9))]);
        assert_eq!(tree(1, &stats), [1, 2, 3]);
    }

    #[test]
    fn this_process_has_memory_of_its_own() {
        let used = memory(std::process::id());
        assert!(used > 0.5, "{used} MiB");
        assert_eq!(proportional("Rss: 9 kB\nPss:   8 kB\n"), Some(8));
    }
}
