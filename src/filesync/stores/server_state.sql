-- What `filesync doctor` asks a server that keeps a store. See server_state.py.

-- name: server_itself
-- The server, and this account on it.
SELECT current_setting('server_version'), pg_is_in_recovery(), current_user::text, current_schema()::text, pg_database_size(current_database()),
    has_schema_privilege(current_schema(), 'CREATE'),
    coalesce((SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false),
    inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr();

-- name: server_clock
-- Its clock, in seconds since 1970.
SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision);

-- name: server_unsafe
-- Settings with which a commit may be lost, or the database destroyed, by a power cut. This store's sessions see to synchronous_commit themselves.
SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name;

-- name: server_unwritable
-- Tables of the schema in which this account may not do everything that the station does.
SELECT c.relname::text FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p')
    AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
ORDER BY 1;

-- name: server_not_owned
-- Tables of the ledger whose form this account may not change: only an owner may, as an upgrade wants it.
SELECT c.relname::text FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p') AND c.relname LIKE 'fs\_%'
    AND NOT pg_has_role(c.relowner, 'USAGE')
ORDER BY 1;

-- name: server_writers
-- Who else was given the right to write into the ledger.
SELECT DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS g
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p') AND c.relname LIKE 'fs\_%'
    AND g.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') AND g.grantee <> c.relowner
ORDER BY 1;
