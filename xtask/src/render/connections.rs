//! Whether the database has a connection for everybody while a release is rolled out and twice as many tasks run.

use crate::{
    contract::{WORKER_CONTROL_CONNECTIONS, classes},
    environments::Environment,
};

/// Of the migration, and of a person who looks.
const OTHERS: u32 = 5;

/// Percent of the connections that may be taken.
const SHARE: u32 = 80;

struct Budget {
    api: u32,
    worker: u32,
    most: u32,
}

impl Budget {
    fn of(environment: &Environment) -> Self {
        let (api, worker) = (&environment.api, &environment.worker);
        Self {
            api: api.max * api.connections * 2,
            worker: worker.max * (worker.connections + WORKER_CONTROL_CONNECTIONS) * 2,
            most: classes::max_connections(&environment.database.class),
        }
    }

    fn taken(&self) -> u32 {
        self.api + self.worker + OTHERS
    }

    fn allowed(&self) -> u32 {
        self.most * SHARE / 100
    }
}

/// The key to change and both numbers, where there are too few connections.
pub(crate) fn violations(environment: &Environment) -> Vec<(&'static str, String)> {
    let budget = Budget::of(environment);
    // An unknown class is somebody else's complaint.
    if budget.most == 0 || budget.taken() <= budget.allowed() {
        return Vec::new();
    }
    let detail = format!(
        "during a release tasks take {} connections, and {SHARE} % of {}'s {} are {}: choose a larger class, or smaller \
         api.max, api.connections, worker.max or worker.connections",
        budget.taken(),
        environment.database.class,
        budget.most,
        budget.allowed(),
    );
    vec![("database.class", detail)]
}

/// The budget as Markdown.
pub(crate) fn section(environment: &Environment) -> String {
    let budget = Budget::of(environment);
    let (api, worker) = (&environment.api, &environment.worker);
    format!(
        "# Connections to PostgreSQL during a release\n\n\
         | who | connections |\n|---|---:|\n\
         | API: {} tasks × {} × 2 | {} |\n\
         | worker: {} tasks × ({} + {WORKER_CONTROL_CONNECTIONS}) × 2 | {} |\n\
         | migration and people | {OTHERS} |\n\
         | **all** | **{}** |\n\
         | {SHARE} % of the {} of {} | {} |\n",
        api.max,
        api.connections,
        budget.api,
        worker.max,
        worker.connections,
        budget.worker,
        budget.taken(),
        budget.most,
        environment.database.class,
        budget.allowed(),
    )
}
