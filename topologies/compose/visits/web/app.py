"""Counts visits: the number is in Redis, each visit is a row in PostgreSQL.

Without CACHE_TIMEOUT a page waits for Redis for as long as that takes, as drivers do when nobody
says otherwise; with it, a page is served without the number.
"""

import os

import flask
import psycopg
import redis

app = flask.Flask(__name__)
timeout = float(os.environ.get("CACHE_TIMEOUT") or 0) or None  # seconds
cache = redis.Redis.from_url(
    os.environ["REDIS_URL"], socket_timeout=timeout, socket_connect_timeout=timeout
)


def hits():
    """How often the page was asked for; None when the cache does not say and need not."""
    try:
        return cache.incr("hits")
    except redis.RedisError:
        if timeout:
            return None
        raise


@app.get("/")
def page():
    """The page."""
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=2) as connection:
        connection.execute("INSERT INTO visit DEFAULT VALUES")
    number = hits()
    return f"{'many' if number is None else number} visits\n"


@app.get("/alive")
def alive():
    """Whether the server itself answers, whatever it stands on."""
    return "alive\n"
