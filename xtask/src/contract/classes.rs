//! Sizes that AWS offers.

/// Fargate's processor sizes and, in MiB, the least, the most and the step of the memory that goes with each
/// (Amazon ECS Developer Guide, "Task definition parameters for Fargate").
const FARGATE: &[(u32, u32, u32, u32)] = &[
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
];

/// RDS instance classes and their memory in GiB (Amazon RDS User Guide, "Hardware specifications for DB instance
/// classes"). A class also needs a price in `infra/prices.toml`.
const DATABASES: &[(&str, u32)] = &[
    ("db.t4g.micro", 1),
    ("db.t4g.small", 2),
    ("db.t4g.medium", 4),
    ("db.t4g.large", 8),
    ("db.m7g.large", 8),
    ("db.m7g.xlarge", 16),
    ("db.r7g.large", 16),
];

/// Bytes of memory for one connection in RDS's own formula, which also caps the number at 5000.
const BYTES_PER_CONNECTION: u64 = 9_531_392;

pub(crate) fn fargate_cpus() -> Vec<u32> {
    std::iter::once(256)
        .chain(FARGATE.iter().map(|(cpu, ..)| *cpu))
        .collect()
}

/// The memory sizes that go with `cpu`, in MiB.
pub(crate) fn fargate_memory(cpu: u32) -> Option<Vec<u32>> {
    if cpu == 256 {
        return Some(vec![512, 1024, 2048]);
    }
    let (_, least, most, step) = FARGATE.iter().find(|(size, ..)| *size == cpu)?;
    Some(
        (*least..=*most)
            .step_by(usize::try_from(*step).ok()?)
            .collect(),
    )
}

pub(crate) fn databases() -> Vec<&'static str> {
    DATABASES.iter().map(|(class, _)| *class).collect()
}

/// In GiB.
pub(crate) fn database_memory(class: &str) -> Option<u32> {
    DATABASES
        .iter()
        .find(|(name, _)| *name == class)
        .map(|(_, memory)| *memory)
}

/// The `max_connections` that we set: what RDS would choose for three quarters of the memory, since the operating
/// system takes a part before RDS reckons. 0 for an unknown class.
pub(crate) fn max_connections(class: &str) -> u32 {
    let bytes = u64::from(database_memory(class).unwrap_or(0)) << 30;
    let connections = (bytes * 3 / 4 / BYTES_PER_CONNECTION).min(5000);
    u32::try_from(connections).unwrap_or(5000)
}
