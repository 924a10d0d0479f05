-- What PostgreSQL is asked otherwise, each under the name of the statement that it is said instead of. Everything else: postgres_sql.py.

-- name: has_ledger
-- Whether there is a store in the schema that comes first in the search path.
SELECT count(to_regclass('fs_meta'));

-- name: has_temporary
-- Whether this connection has such a temporary table.
SELECT to_regclass('pg_temp.' || $1) IS NOT NULL;

-- name: table_columns
-- The columns of a data table as it stands; key columns have their place in the key, others 0.
SELECT a.attname::text, coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: open_feeds
-- In their order, so that two importers never wait for each other in a circle.
INSERT INTO fs_feed (origin, dataset, audience, epoch)
SELECT asked.value ->> 0, asked.value ->> 1, asked.value ->> 2, asked.value ->> 3 FROM json_array_elements($1::json) AS asked ORDER BY 1, 2, 3, 4
ON CONFLICT DO NOTHING;

-- name: feed_ids
-- The numbers of these feeds.
SELECT f.origin, f.dataset, f.audience, f.epoch, f.feed_id
FROM json_array_elements($1::json) AS asked
JOIN fs_feed f ON f.origin = asked.value ->> 0 AND f.dataset = asked.value ->> 1 AND f.audience = asked.value ->> 2 AND f.epoch = asked.value ->> 3;

-- name: take_feeds
-- The heads of these feeds in all their epochs. From here to the end of the transaction nobody else decides a number of them: their rows are
-- locked. Rows, not advisory locks: a group of small batches takes thousands, and a server has room for a few thousand of those for everybody.
SELECT f.origin, f.dataset, f.audience, f.epoch, f.seq, f.manifest_sha256
FROM fs_feed f
WHERE (f.origin, f.dataset, f.audience) IN (SELECT asked.value ->> 0, asked.value ->> 1, asked.value ->> 2 FROM json_array_elements($1::json) AS asked)
ORDER BY f.feed_id
FOR NO KEY UPDATE;

-- name: receipt_refused
-- The latest answer to a refused claim of this name.
SELECT name, origin, manifest_sha256, 'REJECTED', receipt, NULL, acknowledged, code
FROM fs_refused
WHERE name = $1
ORDER BY refusal DESC LIMIT 1;

-- name: last_batch_id
-- By place, not by number: of two importers the one that began first may end last, and what ends later must be seen as newer.
SELECT coalesce(max(place), 0) FROM fs_incoming;

-- name: decided_after
-- What became visible after a place, in that order.
SELECT name, verdict, documents FROM fs_incoming WHERE place > $1 ORDER BY place;

-- name: days_since
-- The business dates of batches that were decided after a place.
SELECT DISTINCT business_date FROM fs_incoming WHERE place > $1;

-- name: day_newest
-- The newest place of each of these business dates.
SELECT asked.value, (SELECT i.place FROM fs_incoming i WHERE i.business_date = asked.value ORDER BY i.place DESC LIMIT 1)
FROM json_array_elements_text($1::json) AS asked;

-- name: reconciliation_newer
-- Whether anything of these kinds was applied since: without it nothing can have changed.
SELECT EXISTS (
    SELECT 1 FROM fs_incoming i JOIN fs_feed f USING (feed_id)
    WHERE i.place > $1 AND f.dataset IN ('vendas', 'bdf', 'ca') AND i.verdict <> 'REJECTED');

-- name: count_vendas
-- How many sales the day has, and the place of the newest batch that brought one of them.
SELECT count(*), coalesce(max(i.place), 0) FROM vendas v LEFT JOIN fs_incoming i ON i.batch_id = v.fs_batch WHERE v.data_movimento = $1;

-- name: count_bdf
-- The same of the BDF. By the importing sites, so that the key finds the day.
WITH RECURSIVE o (origem) AS (
    SELECT min(origem) FROM bdf UNION ALL SELECT (SELECT min(b.origem) FROM bdf b WHERE b.origem > o.origem) FROM o WHERE o.origem IS NOT NULL)
SELECT count(*), coalesce(max(i.place), 0)
FROM o JOIN bdf b ON b.origem = o.origem AND b.data = $1 LEFT JOIN fs_incoming i ON i.batch_id = b.fs_batch;

-- name: count_ca
-- The same of the C.A.
WITH RECURSIVE o (origem) AS (
    SELECT min(origem) FROM ca UNION ALL SELECT (SELECT min(b.origem) FROM ca b WHERE b.origem > o.origem) FROM o WHERE o.origem IS NOT NULL)
SELECT count(*), coalesce(max(i.place), 0)
FROM o JOIN ca b ON b.origem = o.origem AND b.data = $1 LEFT JOIN fs_incoming i ON i.batch_id = b.fs_batch;

-- name: count_days_vendas
-- The same of every day between two.
SELECT v.data_movimento, count(*), coalesce(max(i.place), 0)
FROM vendas v LEFT JOIN fs_incoming i ON i.batch_id = v.fs_batch WHERE v.data_movimento BETWEEN $1 AND $2 GROUP BY v.data_movimento;

-- name: count_days_bdf
-- The same of the BDF.
SELECT b.data, count(*), coalesce(max(i.place), 0)
FROM bdf b LEFT JOIN fs_incoming i ON i.batch_id = b.fs_batch WHERE b.data BETWEEN $1 AND $2 GROUP BY b.data;

-- name: count_days_ca
-- The same of the C.A.
SELECT b.data, count(*), coalesce(max(i.place), 0)
FROM ca b LEFT JOIN fs_incoming i ON i.batch_id = b.fs_batch WHERE b.data BETWEEN $1 AND $2 GROUP BY b.data;

-- name: marks_ahead
-- How far peers say that feeds for us are sealed, where that is further than what is decided here, in every installation that is remembered.
SELECT p.peer, m.value ->> 'dataset', m.value ->> 'audience', p.epoch, CAST(m.value ->> 'oldest_open' AS bigint), CAST(m.value ->> 'sealed' AS bigint)
FROM fs_peer p CROSS JOIN json_array_elements(CAST(p.heartbeat AS json) -> 'feeds') AS m
WHERE CAST(m.value ->> 'sealed' AS bigint) > coalesce((
    SELECT f.seq FROM fs_feed f
    WHERE f.origin = p.peer AND f.dataset = m.value ->> 'dataset' AND f.audience = m.value ->> 'audience' AND f.epoch = p.epoch
), 0)
ORDER BY p.peer_id;

-- name: purge_unheard
-- Batches of a day that were decided here and that their origin, when it was heard last, still counted as unanswered.
SELECT i.name
FROM fs_peer p CROSS JOIN json_array_elements(CAST(p.heartbeat AS json) -> 'feeds') AS m
JOIN fs_feed f ON f.origin = p.peer AND f.dataset = m.value ->> 'dataset' AND f.audience = m.value ->> 'audience' AND f.epoch = p.epoch
JOIN fs_incoming i ON i.feed_id = f.feed_id AND i.seq >= CAST(m.value ->> 'oldest_open' AS bigint)
WHERE m.value ->> 'oldest_open' IS NOT NULL AND i.business_date = $1
ORDER BY i.batch_id;
