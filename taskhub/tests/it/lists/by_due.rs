//! The order by due time against an oracle that is written apart from it, where clocks change.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use chrono_tz::Tz;
use sqlx::PgPool;
use taskhub::{
    Error, database,
    due::When,
    tasks::{self, Filter, Sort, SortKey},
    testing::Database,
};
use uuid::Uuid;

use super::moments::{Dice, ZONES, any_due, changes, due, expected, near};
use crate::world::person;

/// Adds tasks to the only project, by id.
async fn add(db: &PgPool, all: &[(Uuid, Option<When>)]) {
    let ids: Vec<_> = all.iter().map(|(id, _)| *id).collect();
    let dates = all.iter().map(|(_, when)| match when {
        Some(When::Date { date }) => Some(*date),
        _ => None,
    });
    let locals = all.iter().map(|(_, when)| match when {
        Some(When::Local { local }) => Some(*local),
        _ => None,
    });
    let instants = all.iter().map(|(_, when)| match when {
        Some(When::At { at, .. }) => Some(*at),
        _ => None,
    });
    sqlx::query(
        "insert into task (id, workspace_id, project_id, title, position, seq, created_by, due_date, due_local, due_at,
             due_time_zone)
         select new.id, workspace_id, project.id, 'one', '', 0, project.id, due_date, due_local, due_at,
             case when due_at is not null then 'UTC' end
         from project, unnest($1::uuid[], $2::date[], $3::timestamp[], $4::timestamptz[])
             as new (id, due_date, due_local, due_at)",
    )
    .bind(ids)
    .bind(dates.collect::<Vec<_>>())
    .bind(locals.collect::<Vec<_>>())
    .bind(instants.collect::<Vec<_>>())
    .execute(db)
    .await
    .unwrap();
}

#[tokio::test]
async fn the_order_by_due_is_that_of_the_moments_for_the_reader() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut dice = Dice(2);
    for (zone, _) in ZONES
        .into_iter()
        .flat_map(|zone| [(zone, 0), (zone, 1), (zone, 2)])
    {
        let all_changes = changes(zone);
        let change = dice.one_of(&all_changes);
        let all: Vec<_> = (0..40)
            .map(|_| {
                let id = u128::from(dice.below(u64::MAX)) << 64 | u128::from(dice.below(u64::MAX));
                (Uuid::from_u128(id), any_due(&mut dice, zone, change))
            })
            .collect();
        add(&database.pool, &all).await;
        let all_in_zone = Filter {
            time_zone: zone,
            ..Filter::default()
        };
        for descending in [false, true] {
            let sort = Sort {
                key: SortKey::Due,
                descending,
            };
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let size = u8::try_from(dice.between(1, 8)).unwrap();
                let page = tasks::list(&mut db, &anna, &all_in_zone, sort, after.as_ref(), size)
                    .await
                    .unwrap();
                found.extend(page.tasks.iter().map(|task| task.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
                assert_eq!(page.tasks.len(), usize::from(size));
                assert!(found.len() <= all.len(), "{zone} {change} does not end");
            }
            assert_eq!(
                found,
                expected(zone, &all, descending),
                "{zone} {change} {descending}"
            );
        }
        for _ in 0..4 {
            let (from, to) = (near(&mut dice, change), near(&mut dice, change));
            let filter = Filter {
                due_after: Some(from),
                due_before: Some(to),
                ..all_in_zone.clone()
            };
            let within: Vec<_> = all
                .iter()
                .filter(|(_, when)| {
                    when.as_ref()
                        .is_some_and(|when| (from..to).contains(&due(zone, when)))
                })
                .cloned()
                .collect();
            let sort = Sort {
                key: SortKey::Due,
                descending: false,
            };
            let page = tasks::list(&mut db, &anna, &filter, sort, None, 200)
                .await
                .unwrap();
            let found: Vec<_> = page.tasks.iter().map(|task| task.id).collect();
            assert_eq!(found, expected(zone, &within, false), "{zone} {from} {to}");
            let by_id = Sort {
                key: SortKey::CreatedAt,
                descending: false,
            };
            let page = tasks::list(&mut db, &anna, &filter, by_id, None, 200)
                .await
                .unwrap();
            let found: BTreeSet<_> = page.tasks.iter().map(|task| task.id).collect();
            assert_eq!(
                found,
                within.iter().map(|(id, _)| *id).collect(),
                "{zone} {from} {to}"
            );
        }
        sqlx::query("delete from task")
            .execute(&mut *db)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_position_is_of_no_use_in_another_zone() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let all: Vec<_> = [None, None]
        .into_iter()
        .chain([1, 2, 3].map(|day| {
            Some(When::Date {
                date: NaiveDate::from_ymd_opt(2026, 12, day).unwrap(),
            })
        }))
        .map(|when| (Uuid::now_v7(), when))
        .collect();
    add(&database.pool, &all).await;
    let sort = Sort {
        key: SortKey::Due,
        descending: false,
    };
    let zone = |time_zone| Filter {
        time_zone,
        ..Filter::default()
    };
    let (here, there) = (zone(Tz::Europe__Vienna), zone(Tz::Europe__Berlin));
    // After a task that is due, and after one that never is.
    for limit in [2, 4] {
        let page = tasks::list(&mut db, &anna, &here, sort, None, limit)
            .await
            .unwrap();
        let refused = tasks::list(&mut db, &anna, &there, sort, page.next.as_ref(), limit).await;
        assert!(matches!(refused, Err(Error::InvalidCursor)), "{refused:?}");
        let rest = tasks::list(&mut db, &anna, &here, sort, page.next.as_ref(), limit)
            .await
            .unwrap();
        assert_eq!(
            page.tasks.len() + rest.tasks.len(),
            all.len().min(2 * usize::from(limit))
        );
    }
}

/// How many rows of tasks and entries of their indexes were read so far.
async fn reads(db: &PgPool) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()")
        .execute(db)
        .await
        .unwrap();
    sqlx::query_scalar(
        "select (seq_tup_read + sum(idx_tup_read))::bigint
         from pg_stat_user_tables join pg_stat_user_indexes using (relid)
         where pg_stat_user_tables.relname = 'task'
         group by seq_tup_read",
    )
    .fetch_one(db)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_page_of_a_hundred_thousand_tasks_reads_few_of_them() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    // From a week before the clocks go forward, and 25,000 in the hour that they skip.
    let many = "
        set session_replication_role = replica;
        set statement_timeout = 0;
        insert into task (id, workspace_id, project_id, title, position, seq, created_by, due_date, due_local, due_at,
            due_time_zone)
        select gen_random_uuid(), workspace_id, id, 'many', '', 0, id,
            case number % 4 when 0 then '2026-03-01'::date + number / 400 end,
            case number % 4 when 1 then '2026-03-01'::timestamp + number * interval '10 min'
                when 3 then '2026-03-08 02:00'::timestamp + number * interval '30 ms' end,
            case number % 4 when 2 then '2026-03-01'::timestamptz + number * interval '10 min' end,
            case number % 4 when 2 then 'UTC' end
        from project, generate_series(1, 100000) as number;
        analyze task";
    // One connection, whose statistics are those that are read.
    let options = database::connect_options(&database.url, "test").unwrap();
    let db = &database::pool(options, 1);
    sqlx::raw_sql(many).execute(db).await.unwrap();
    let all = Filter {
        time_zone: Tz::America__New_York,
        ..Filter::default()
    };
    let until_the_day_after = Filter {
        due_before: Some("2026-03-09T04:00:00Z".parse().unwrap()),
        ..all.clone()
    };
    for (filter, descending) in [(all, false), (until_the_day_after, true)] {
        let sort = Sort {
            key: SortKey::Due,
            descending,
        };
        let mut after = None;
        for page in 0..40 {
            let before = reads(db).await;
            let mut connection = db.acquire().await.unwrap();
            let listed = tasks::list(&mut connection, &anna, &filter, sort, after.as_ref(), 50)
                .await
                .unwrap();
            drop(connection);
            let read = reads(db).await - before;
            assert_eq!(listed.tasks.len(), 50);
            assert!(read < 1000, "{read} reads for page {page}, {descending}");
            after = listed.next;
        }
    }
}
