-- no-transaction
-- Nobody waits for this, however many tasks there are. A program of the release before this one goes on
-- searching by `task_words_idx`, which a later release takes away.
create index concurrently task_search_idx on task using gin ((title_words || description_words));
