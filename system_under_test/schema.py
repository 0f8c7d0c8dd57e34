"""The tables, and the few statements that decide who owns a coupon.

PostgreSQL is the authority: one `campaign` row carries the control state, one `issuances` row is
one issued coupon. Every durable write runs in a server-side function, so that a slow link costs
one round trip, and each statement in it sees what was committed before it began (READ COMMITTED).

The fence: a write names the epoch it was admitted under and locks the campaign row before it
looks. Writes that only insert rows share the lock; the one that changes `remaining` takes it for
itself. A switch locks the row first and counts the rows in a second statement, whose snapshot is
taken after every earlier writer has finished. One statement doing both would wait for the
writers and then count with the snapshot from before the wait. Since each writer holds the
campaign row, the rows need no foreign key, which would look it up again for every coupon.
"""

import asyncpg

TABLES = """
CREATE TABLE IF NOT EXISTS campaign (
    code text PRIMARY KEY,
    stock integer NOT NULL CHECK (stock >= 0),
    remaining integer NOT NULL,
    epoch bigint NOT NULL DEFAULT 1,
    view text NOT NULL DEFAULT '',
    strategy text NOT NULL DEFAULT 'redis' CHECK (strategy IN ('redis', 'postgres')),
    paused boolean NOT NULL DEFAULT false,
    paused_at timestamptz,
    closed boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS issuances (
    id text PRIMARY KEY,
    user_id bigint NOT NULL,
    coupon_code text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, coupon_code)
);
CREATE INDEX IF NOT EXISTS issuances_coupon_code ON issuances (coupon_code);
CREATE TABLE IF NOT EXISTS service (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    limit_users boolean NOT NULL
);
"""

RECORD_RESERVED = """
CREATE OR REPLACE FUNCTION record_reserved(
    p_code text, p_epoch bigint, p_ids text[], p_users bigint[],
    OUT fenced boolean, OUT recorded text[]) AS $$
BEGIN
    fenced := false;
    recorded := '{}';
    PERFORM 1 FROM campaign
        WHERE code = p_code AND epoch = p_epoch AND NOT paused AND NOT closed FOR SHARE;
    IF NOT FOUND THEN
        fenced := true;
        RETURN;
    END IF;
    WITH inserted AS (
        INSERT INTO issuances (id, user_id, coupon_code)
        SELECT asked.id, asked.usr, p_code FROM unnest(p_ids, p_users) AS asked (id, usr)
        ON CONFLICT (user_id, coupon_code) DO NOTHING RETURNING id)
    SELECT coalesce(array_agg(inserted.id), '{}') INTO recorded FROM inserted;
END $$ LANGUAGE plpgsql;
"""

ISSUE_DIRECTLY = """
CREATE OR REPLACE FUNCTION issue_directly(
    p_code text, p_epoch bigint, p_ids text[], p_users bigint[],
    OUT fenced boolean, OUT recorded text[], OUT held text[], OUT coupons_left integer) AS $$
BEGIN
    fenced := false;
    recorded := '{}';
    held := '{}';
    SELECT remaining INTO coupons_left FROM campaign
        WHERE code = p_code AND epoch = p_epoch AND NOT paused AND NOT closed FOR UPDATE;
    IF NOT FOUND THEN
        fenced := true;
        coupons_left := 0;
        RETURN;
    END IF;
    SELECT coalesce(array_agg(asked.id), '{}') INTO held
        FROM unnest(p_ids, p_users) AS asked (id, usr)
        JOIN issuances i ON i.user_id = asked.usr AND i.coupon_code = p_code;
    WITH once AS (  -- a user who asks twice takes no other's place
        SELECT DISTINCT ON (asked.usr) asked.id, asked.usr, asked.n
        FROM unnest(p_ids, p_users) WITH ORDINALITY AS asked (id, usr, n)
        WHERE asked.id <> ALL (held) ORDER BY asked.usr, asked.n),
    fresh AS (
        SELECT once.id, once.usr FROM once ORDER BY once.n LIMIT greatest(coupons_left, 0)),
    inserted AS (
        INSERT INTO issuances (id, user_id, coupon_code)
        SELECT fresh.id, fresh.usr, p_code FROM fresh
        ON CONFLICT (user_id, coupon_code) DO NOTHING RETURNING id)
    SELECT coalesce(array_agg(inserted.id), '{}') INTO recorded FROM inserted;
    IF cardinality(recorded) > 0 THEN
        coupons_left := coupons_left - cardinality(recorded);
        UPDATE campaign SET remaining = coupons_left WHERE code = p_code;
    END IF;
END $$ LANGUAGE plpgsql;
"""

USE_POSTGRES = """
CREATE OR REPLACE FUNCTION use_postgres(p_code text) RETURNS void AS $$
DECLARE
    recorded integer;
BEGIN
    PERFORM 1 FROM campaign
        WHERE code = p_code AND NOT closed AND strategy <> 'postgres' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT count(*) INTO recorded FROM issuances WHERE coupon_code = p_code;
    UPDATE campaign SET remaining = greatest(stock - recorded, 0), epoch = epoch + 1,
        strategy = 'postgres' WHERE code = p_code;
END $$ LANGUAGE plpgsql;
"""

# The planted defect (SUT_UNFENCED_SWITCH=1): one statement, one old snapshot, the same epoch, so
# that reservations still on their way out of Redis are recorded after they were not counted.
USE_POSTGRES_UNFENCED = """
UPDATE campaign SET strategy = 'postgres',
    remaining = stock - (SELECT count(*) FROM issuances WHERE coupon_code = $1)
WHERE code = $1 AND NOT closed
"""

STATE = """
SELECT code, stock, remaining, epoch, view, strategy, paused, closed,
    extract(epoch FROM now() - paused_at)::float8 AS paused_s FROM campaign
"""


async def create(connection: asyncpg.Connection, *, limit_users: bool) -> None:
    """Create what is missing; replicas that start together take turns."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(7305)")
        for statement in (TABLES, RECORD_RESERVED, ISSUE_DIRECTLY, USE_POSTGRES):
            await connection.execute(statement)
        await connection.execute(
            "INSERT INTO service (limit_users) VALUES ($1) ON CONFLICT (one) DO UPDATE"
            " SET limit_users = service.limit_users OR excluded.limit_users",
            limit_users,
        )
