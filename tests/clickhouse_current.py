"""A current ClickHouse as one node: the engine of chdb-core-lite behind ClickHouse's HTTP interface.

Run as `clickhouse_current.py ENGINE PORT FOLDER`, where ENGINE is the folder that holds chdb's extension module. One
statement runs at a time; a setting in the URL holds for its statement alone. Every error has the status 500, where
ClickHouse has others, too.
"""

import asyncio
import contextlib
import re
import sys
import threading

from aiohttp import web

NO_SETTINGS = {"query", "database", "default_format", "user", "password", "query_id", "wait_end_of_query"}
WORKER = threading.Lock()


def run(connection, database, settings, statement, shape):
    """Give what *statement* answers, with *settings* set before and taken back after."""
    with WORKER:
        connection.query(f"USE {database}", "TabSeparated")
        try:
            for name, value in settings.items():
                quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                connection.query(f"SET {name} = '{quoted}'", "TabSeparated")
            return bytes(connection.query(statement, shape).bytes())
        finally:
            for name in settings:
                with contextlib.suppress(RuntimeError):  # a name that is none has been refused above
                    connection.query(f"SET {name} = DEFAULT", "TabSeparated")


def serve(connection, port):
    async def answer(request):
        asked = request.query
        statement = "\n".join(part for part in (asked.get("query", ""), (await request.read()).decode()) if part)
        if not statement:
            return web.Response(text="Ok.\n")
        settings = {name: value for name, value in asked.items() if name not in NO_SETTINGS}
        shape = asked.get("default_format", "TabSeparated")
        try:
            body = await asyncio.to_thread(
                run, connection, asked.get("database", "default"), settings, statement, shape
            )
        except RuntimeError as exc:
            code = re.search(r"Code: (\d+)", str(exc))
            headers = {"X-ClickHouse-Exception-Code": code[1]} if code else {}
            return web.Response(status=500, text=f"{exc}\n", headers=headers)
        return web.Response(body=body, headers={"X-ClickHouse-Format": shape})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    engine, port, folder = sys.argv[1:]
    sys.path.insert(0, engine)  # the package around the module would want pandas and pyarrow
    import _chdb

    serve(_chdb.connect(folder), int(port))
