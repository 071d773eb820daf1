"""The same job for Celery: a row in a table without a key, left once however often the job is delivered.

What makes a job idempotent whatever it does is a log of the jobs that are done, written in the transaction
of the effect. TaskHub keeps one itself; a Celery task has to.

Tuned as its documentation advises for many short jobs: no result backend, no gossip, prefetching, one
connection for each process, statements prepared, hiredis as the parser.

    celery -A worker worker     works
    python worker.py COUNT RATE enqueues COUNT jobs, RATE a second or, where that is 0, at once
"""

import os
import sys
import time

import psycopg
from celery import Celery
from celery.signals import worker_process_init

app = Celery("peer", broker=os.environ["REDIS_BROKER"])
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    # As TaskHub does: a job whose worker dies is done by another.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=64,
    worker_concurrency=os.cpu_count(),
    broker_connection_retry_on_startup=True,
)

db = None


@worker_process_init.connect
def connect(**_):
    global db
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=1)


@app.task(name="peer.effect")
def effect(job_id, enqueued_at):
    with db.transaction():
        new = db.execute("insert into peer_log (job_id) values (%s) on conflict do nothing", (job_id,))
        if new.rowcount:
            db.execute("insert into peer_effect (enqueued_at) values (to_timestamp(%s))", (enqueued_at,))


def enqueue(count, rate):
    start = time.monotonic()
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(count):
            if rate:
                time.sleep(max(0.0, start + number / rate - time.monotonic()))
            job_id = f"{os.getpid()}:{number}"
            effect.apply_async(args=[job_id, time.time()], producer=producer)


if __name__ == "__main__":
    enqueue(int(sys.argv[1]), float(sys.argv[2]))
