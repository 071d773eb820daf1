//! A connection to Redis of one's own, renewed in the background.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Nobody who asks for the connection ever waits for a Redis that is away.
pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    state: State,
}

enum State {
    Up(MultiplexedConnection),
    Connecting(AbortOnDropHandle<MultiplexedConnection>),
}

impl Link {
    /// Tries to connect for a moment, so that a Redis that is there is used from the first command.
    pub(super) async fn open(client: Client, response_timeout: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout));
        let state = match connect(&client, &config).await {
            Ok(connection) => State::Up(connection),
            Err(_) => reconnect(client.clone(), config.clone()),
        };
        Self {
            client,
            config,
            state,
        }
    }

    /// The connection, or none while Redis is away.
    pub(super) async fn connection(&mut self) -> Option<&mut MultiplexedConnection> {
        if let State::Connecting(task) = &mut self.state
            && task.is_finished()
        {
            self.state = match task.await {
                Ok(connection) => State::Up(connection),
                Err(_) => reconnect(self.client.clone(), self.config.clone()),
            };
        }
        match &mut self.state {
            State::Up(connection) => Some(connection),
            State::Connecting(_) => None,
        }
    }

    /// Gives the connection up, after an error that leaves its state unknown.
    pub(super) fn renew(&mut self) {
        self.state = reconnect(self.client.clone(), self.config.clone());
    }
}

async fn connect(
    client: &Client,
    config: &AsyncConnectionConfig,
) -> anyhow::Result<MultiplexedConnection> {
    // A server that hangs accepts connections and does not answer; the client's own timeout ends
    // with the handshake's first part.
    timeout(2 * CONNECT_TIMEOUT, async {
        let mut connection = client
            .get_multiplexed_async_connection_with_config(config)
            .await?;
        redis::cmd("PING")
            .query_async::<()>(&mut connection)
            .await?;
        Ok(connection)
    })
    .await?
}

fn reconnect(client: Client, config: AsyncConnectionConfig) -> State {
    State::Connecting(AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            if let Ok(connection) = connect(&client, &config).await {
                return connection;
            }
            sleep(RECONNECT_PAUSE).await;
        }
    })))
}
