"""The engines of the central store, for tests that hold for each."""

import asyncio

EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_version'
        AND tablename NOT IN (SELECT inhrelid::regclass::text FROM pg_inherits) LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences LOOP
        PERFORM setval(name, 1, false);
    END LOOP;
    INSERT INTO words (number, word) VALUES (0, '');
    INSERT INTO progress (name, seq) VALUES ('labelled', 0);
END $$
"""


def empty_postgres(port: int, database: str = "postgres") -> None:
    """Take every row out of central's tables, where they are made already."""

    import asyncpg  # where it is not installed, no server is started

    async def run() -> None:
        connection = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database=database)
        try:
            if await connection.fetchval("SELECT to_regclass('schema_version')"):
                await connection.execute(EMPTY)
        finally:
            await connection.close()

    asyncio.run(run())
