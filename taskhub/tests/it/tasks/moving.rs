//! Orders made by hand.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, any, prop};
use sqlx::PgPool;
use taskhub::{
    Error,
    changes::Actor,
    tasks::{self, Filter, Move, NewTask, Place, Sort, SortKey, Task},
    testing::Database,
};
use uuid::Uuid;

use super::{assert_invalid, assert_not_found};
use crate::world::{person, task, titled};

async fn move_task(pool: &PgPool, actor: &Actor, id: Uuid, to: Move) -> taskhub::Result<Task> {
    let mut transaction = pool.begin().await?;
    let moved = tasks::move_task(&mut transaction, actor, id, &[], &to).await?;
    transaction.commit().await?;
    Ok(moved)
}

fn to(place: Place) -> Move {
    Move {
        place: Some(place),
        ..Move::default()
    }
}

/// All tasks in the order of their positions, and the longest of these.
async fn order(pool: &PgPool, actor: &Actor) -> (Vec<Uuid>, usize) {
    let (mut found, mut longest, mut after) = (Vec::new(), 0, None);
    let mut db = pool.acquire().await.unwrap();
    let sort = Sort {
        key: SortKey::Position,
        descending: false,
    };
    loop {
        let page = tasks::list(
            &mut db,
            actor,
            &Filter::default(),
            sort,
            after.as_ref(),
            200,
        )
        .await
        .unwrap();
        for task in page.tasks {
            longest = longest.max(task.position.len());
            found.push(task.id);
        }
        after = page.next;
        if after.is_none() {
            return (found, longest);
        }
    }
}

/// Numbers without a gap, and one change for each version.
async fn assert_feed_is_whole(pool: &PgPool) {
    let whole: bool = sqlx::query_scalar(
        "select (select count(*) = max(seq) from change)
            and not exists (
                select from task
                where version <> (select count(*) from change where entity_id = task.id)
                   or seq <> (select max(change.seq) from change where entity_id = task.id)
                   or position <> (
                       select after ->> 'position' from change where entity_id = task.id order by change.seq desc limit 1)
            )",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert!(
        whole,
        "the record of changes says something else than the tasks"
    );
}

/// What a random user does next. Numbers name tasks, modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Add,
    Before(usize, usize),
    After(usize, usize),
    Below(usize, usize),
    ToTop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let two = || (any::<usize>(), any::<usize>());
    let step = prop::strategy::Union::new_weighted(vec![
        (1, prop::strategy::Just(Step::Add).boxed()),
        (
            4,
            two()
                .prop_map(|(one, other)| Step::Before(one, other))
                .boxed(),
        ),
        (
            4,
            two()
                .prop_map(|(one, other)| Step::After(one, other))
                .boxed(),
        ),
        (
            1,
            two()
                .prop_map(|(one, other)| Step::Below(one, other))
                .boxed(),
        ),
        (1, any::<usize>().prop_map(Step::ToTop).boxed()),
    ]);
    prop::collection::vec(step, 1..40)
}

/// Tasks in the order that they should have, and whose subtask each is.
#[derive(Default)]
struct Model {
    order: Vec<Uuid>,
    parents: BTreeMap<Uuid, Option<Uuid>>,
}

impl Model {
    fn add(&mut self, id: Uuid) {
        self.order.push(id);
        self.parents.insert(id, None);
    }

    fn put(&mut self, id: Uuid, place: Place) {
        let (Place::Before(neighbour) | Place::After(neighbour)) = place;
        self.order.retain(|other| *other != id);
        let index = self.order.iter().position(|other| *other == neighbour);
        let index = index.unwrap() + usize::from(matches!(place, Place::After(_)));
        self.order.insert(index, id);
    }

    fn set_parent(&mut self, id: Uuid, parent_id: Option<Uuid>) {
        if self.parents.insert(id, parent_id) != Some(parent_id) {
            self.order.retain(|other| *other != id);
            self.order.push(id);
        }
    }
}

#[test]
fn any_moves_make_the_order_that_a_list_would_have() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::create());
    let pool = &database.pool;
    let config = proptest::test_runner::Config::with_cases(24);
    proptest::proptest!(config, |(steps in steps())| {
        runtime.block_on(async {
            let name = format!("p{}", Uuid::new_v4().simple());
            let anna = person(pool, &name[..20]).await;
            let mut model = Model::default();
            for _ in 0..4 {
                let mut db = pool.acquire().await.unwrap();
                model.add(task(&mut db, &anna, titled("One")).await.id);
            }
            for step in steps {
                take(pool, &anna, &mut model, step).await;
            }
            let (found, longest) = order(pool, &anna).await;
            assert_eq!(found, model.order);
            assert!(longest <= 24, "{longest}");
        });
    });
}

/// Takes a step in the database and in the model.
async fn take(pool: &PgPool, anna: &Actor, model: &mut Model, step: Step) {
    let nth = |number: usize| model.order[number % model.order.len()];
    let (id, wish) = match step {
        Step::Add => {
            let mut db = pool.acquire().await.unwrap();
            model.add(task(&mut db, anna, titled("Another")).await.id);
            return;
        }
        Step::Before(one, other) => (nth(one), to(Place::Before(nth(other)))),
        Step::After(one, other) => (nth(one), to(Place::After(nth(other)))),
        Step::Below(one, other) => (
            nth(one),
            Move {
                parent_id: Some(Some(nth(other))),
                place: None,
            },
        ),
        Step::ToTop(one) => (
            nth(one),
            Move {
                parent_id: Some(None),
                place: None,
            },
        ),
    };
    match move_task(pool, anna, id, wish.clone()).await {
        Ok(moved) => {
            if let Some(place) = wish.place {
                model.put(id, place);
            }
            if let Some(parent_id) = wish.parent_id {
                model.set_parent(id, parent_id);
            }
            assert_eq!(moved.parent_id, model.parents[&id]);
        }
        // Beside or below itself, or too deep: then nothing has moved.
        Err(Error::Invalid(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn moving_to_where_it_is_leaves_no_trace() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut made = Vec::new();
    for title in ["a", "b", "c"] {
        made.push(task(&mut db, &anna, titled(title)).await);
    }
    let wish = to(Place::Before(made[0].id));
    let first = move_task(&database.pool, &anna, made[2].id, wish.clone())
        .await
        .unwrap();
    assert_eq!(first.version, 2);
    for wish in [
        to(Place::Before(made[0].id)),
        Move::default(),
        Move {
            parent_id: Some(None),
            place: None,
        },
    ] {
        let again = move_task(&database.pool, &anna, made[2].id, wish.clone())
            .await
            .unwrap();
        assert_eq!(again, first);
    }
    let last = move_task(
        &database.pool,
        &anna,
        made[0].id,
        to(Place::After(made[1].id)),
    );
    assert_eq!(last.await.unwrap().version, 2);
    let new = task(&mut db, &anna, titled("new")).await;
    let expected = vec![made[2].id, made[1].id, made[0].id, new.id];
    assert_eq!(
        order(&database.pool, &anna).await.0,
        expected,
        "a new task is last"
    );
    assert_feed_is_whole(&database.pool).await;
}

#[tokio::test]
async fn subtasks_stay_below_a_task_that_moves() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let goal = task(&mut db, &anna, titled("Goal")).await;
    let parent = task(&mut db, &anna, titled("Parent")).await;
    let child = NewTask {
        parent_id: Some(parent.id),
        ..titled("Child")
    };
    let child = task(&mut db, &anna, child).await;

    let wish = Move {
        parent_id: Some(Some(goal.id)),
        place: Some(Place::Before(goal.id)),
    };
    let moved = move_task(&database.pool, &anna, parent.id, wish.clone())
        .await
        .unwrap();
    assert_eq!(moved.parent_id, Some(goal.id));
    assert_eq!(moved.children.total, 1);
    assert!(moved.position < goal.position);
    assert_eq!(tasks::get(&mut db, &anna, child.id).await.unwrap(), child);

    let circle = Move {
        parent_id: Some(Some(child.id)),
        place: None,
    };
    let refused = move_task(&database.pool, &anna, goal.id, circle).await;
    assert_invalid(refused, "/parent_id", "circular");
}

#[tokio::test]
async fn a_neighbour_has_to_be_a_living_task_of_the_same_project() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let ben = person(&database.pool, "ben").await;
    let mut db = database.pool.acquire().await.unwrap();
    let here = task(&mut db, &anna, titled("Here")).await;
    let gone = task(&mut db, &anna, titled("Gone")).await;
    tasks::delete(&mut db, &anna, gone.id, &[]).await.unwrap();
    let secret = task(&mut db, &ben, titled("Secret")).await;
    let elsewhere: Uuid = sqlx::query_scalar(
        "insert into project (id, workspace_id, name, position, seq)
         select gen_random_uuid(), workspace_id, 'Elsewhere', '', 0 from project
         where workspace_id = (select id from workspace where owner_id = $1) returning id",
    )
    .bind(anna.user_id)
    .fetch_one(&mut *db)
    .await
    .unwrap();
    let there = NewTask {
        project_id: Some(elsewhere),
        ..titled("There")
    };
    let there = task(&mut db, &anna, there).await;
    for (neighbour, code) in [
        (secret.id, "unknown-task"),
        (Uuid::nil(), "unknown-task"),
        (gone.id, "deleted-task"),
        (here.id, "circular"),
        (there.id, "other-project"),
    ] {
        let before = move_task(&database.pool, &anna, here.id, to(Place::Before(neighbour)));
        assert_invalid(before.await, "/before_id", code);
        let after = move_task(&database.pool, &anna, here.id, to(Place::After(neighbour)));
        assert_invalid(after.await, "/after_id", code);
    }
    let strangers = move_task(&database.pool, &ben, here.id, to(Place::Before(secret.id)));
    assert_not_found(strangers.await);
    let deleted = move_task(&database.pool, &anna, gone.id, to(Place::Before(here.id)));
    assert_not_found(deleted.await);
}

#[tokio::test]
async fn positions_stay_short_however_often_one_place_is_used() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut model = Model::default();
    for _ in 0..40 {
        model.add(task(&mut db, &anna, titled("Task")).await.id);
    }
    // Always into the same gap, from both sides in turns: the worst that can be done to fractions.
    for round in 0..300 {
        let (id, neighbour) = (model.order[39 - round % 20], model.order[10]);
        if id == neighbour {
            continue;
        }
        let place = if round % 2 == 0 {
            Place::Before(neighbour)
        } else {
            Place::After(neighbour)
        };
        move_task(&database.pool, &anna, id, to(place))
            .await
            .unwrap();
        model.put(id, place);
    }
    let (found, longest) = order(&database.pool, &anna).await;
    assert_eq!(found, model.order);
    assert!(longest <= 24, "{longest}");
    assert_feed_is_whole(&database.pool).await;
}

#[tokio::test]
async fn tasks_with_equal_positions_can_be_parted() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut model = Model::default();
    for _ in 0..150 {
        model.add(task(&mut db, &anna, titled("Task")).await.id);
    }
    sqlx::query("update task set position = '00000003i'")
        .execute(&mut *db)
        .await
        .unwrap();
    let (found, _) = order(&database.pool, &anna).await;
    model.order.clone_from(&found);
    let place = Place::Before(found[75]);
    move_task(&database.pool, &anna, found[149], to(place))
        .await
        .unwrap();
    model.put(found[149], place);
    assert_eq!(order(&database.pool, &anna).await.0, model.order);
}

#[tokio::test]
async fn moves_renames_and_changes_at_once_never_deadlock() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..30 {
        let new = NewTask {
            labels: vec!["a".to_owned()],
            ..titled("Task")
        };
        ids.push(task(&mut db, &anna, new).await.id);
    }
    // No room anywhere, so that every move numbers its neighbours anew.
    sqlx::query("update task set position = '00000003i'")
        .execute(&mut *db)
        .await
        .unwrap();
    drop(db);
    let (pool, anna, ids) = (&database.pool, &anna, &ids);
    let walkers = (0..6_usize).map(|walker| async move {
        for step in 0..15_usize {
            let one = ids[(walker * 7 + step * 11) % 30];
            let other = ids[(walker * 5 + step * 13 + 1) % 30];
            if one != other {
                move_task(pool, anna, one, to(Place::Before(other))).await?;
            }
            let mut transaction = pool.begin().await?;
            if step % 3 == 0 {
                let (from, to) = if step % 2 == 0 {
                    ("a", "b")
                } else {
                    ("b", "a")
                };
                taskhub::labels::rename(&mut transaction, anna, from, to, 1_000).await?;
            } else {
                tasks::complete(&mut transaction, anna, other, &[], None).await?;
            }
            transaction.commit().await?;
        }
        Ok::<(), Error>(())
    });
    for outcome in futures_util::future::join_all(walkers).await {
        outcome.unwrap();
    }
    assert_feed_is_whole(pool).await;
    let (found, longest) = order(pool, anna).await;
    assert_eq!((found.len(), longest <= 24), (30, true));
}
