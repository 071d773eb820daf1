//! Erases an account whose grace time is over.

use sqlx::PgPool;
use taskhub::{
    jobs::leases::{self, Completed, Lease},
    users,
};
use uuid::Uuid;

pub(super) async fn run(db: &PgPool, lease: &Lease, user_id: Uuid) -> anyhow::Result<Completed> {
    let mut transaction = db.begin().await?;
    users::erase(&mut *transaction, user_id).await?;
    leases::complete(transaction, lease).await
}
