-- The ledger's fixed statements. Parameters are positional; a statement run for many rows takes one row of parameters at a time.
-- Lists of names come as one JSON array, so that a question costs one statement however many are asked about.

-- name: read_meta
-- What this store is.
SELECT key, value FROM fs_meta;

-- name: write_meta
-- Said once, when the store is made.
INSERT INTO fs_meta (key, value) VALUES (?1, ?2);

-- name: set_epoch
-- A new installation's numbers begin at 1.
UPDATE fs_meta SET value = ?1 WHERE key = 'epoch';

-- name: own_heads
-- The last number of every own feed in an epoch.
SELECT dataset, audience, seq FROM fs_feed WHERE origin = ?1 AND epoch = ?2;

-- name: refused_of_epoch
-- Own batches of an epoch that were refused, by whom, and what was said.
SELECT o.name, d.recipient, d.receipt
FROM fs_delivery d JOIN fs_outgoing o USING (batch_id) JOIN fs_feed f USING (feed_id)
WHERE d.verdict = 'REJECTED' AND f.origin = ?1 AND f.epoch = ?2
ORDER BY d.batch_id, d.recipient;

-- name: memories
-- For which datasets and audiences it is remembered what was sealed.
SELECT dataset, audience FROM fs_memory ORDER BY memory_id;

-- name: forget_captured
-- Every file is looked at again.
DELETE FROM fs_captured;

-- name: owe_again
-- There was nothing wrong with the rows of this batch: they come again as they are.
INSERT INTO fs_given_up (batch_id) SELECT batch_id FROM fs_outgoing WHERE name = ?1 ON CONFLICT DO NOTHING;

-- name: has_ledger
-- Whether a file is a store at all, or one whose making was cut short.
SELECT count(*) FROM sqlite_master WHERE name = 'fs_meta';

-- name: open_feeds
-- A feed is known from its first batch. Feeds come as a JSON array of [origin, dataset, audience, epoch].
INSERT INTO fs_feed (origin, dataset, audience, epoch)
SELECT asked.value ->> 0, asked.value ->> 1, asked.value ->> 2, asked.value ->> 3 FROM json_each(?1) AS asked WHERE true
ON CONFLICT DO NOTHING;

-- name: feed_ids
-- The numbers of these feeds.
SELECT f.origin, f.dataset, f.audience, f.epoch, f.feed_id
FROM json_each(?1) AS asked
CROSS JOIN fs_feed f ON f.origin = asked.value ->> 0 AND f.dataset = asked.value ->> 1 AND f.audience = asked.value ->> 2 AND f.epoch = asked.value ->> 3;

-- name: take_feeds
-- The heads of these feeds, for whoever decides their next numbers. A transaction for writing keeps everybody else out.
SELECT f.origin, f.dataset, f.audience, f.epoch, f.seq, f.manifest_sha256
FROM json_each(?1) AS asked
CROSS JOIN fs_feed f ON f.origin = asked.value ->> 0 AND f.dataset = asked.value ->> 1 AND f.audience = asked.value ->> 2 AND f.epoch = asked.value ->> 3;

-- name: advance_feed
-- The head moves forward only: an earlier number recorded later leaves it where it is.
UPDATE fs_feed
SET batches = batches + ?2,
    manifest_sha256 = CASE WHEN ?3 > seq THEN ?4 ELSE manifest_sha256 END,
    seq = CASE WHEN ?3 > seq THEN ?3 ELSE seq END
WHERE feed_id = ?1;

-- name: standings
-- The heads of every feed that comes here.
SELECT origin, dataset, audience, epoch, seq, manifest_sha256 FROM fs_feed WHERE origin <> ?1 AND seq > 0;

-- name: standings_of
-- The heads of the feeds that come here from these sites: a turn asks for those from whom anything came.
SELECT origin, dataset, audience, epoch, seq, manifest_sha256
FROM fs_feed
WHERE origin <> ?1 AND seq > 0 AND origin IN (SELECT value FROM json_each(?2));

-- name: head
-- The head of one own feed.
SELECT seq, manifest_sha256 FROM fs_feed WHERE origin = ?1 AND dataset = ?2 AND audience = ?3 AND epoch = ?4 AND seq > 0;

-- name: known
-- Which of these numbers were decided here, on which manifest, and whether rows of it are owed.
SELECT i.seq, i.manifest_sha256, i.verdict <> 'APPLIED'
FROM fs_feed f JOIN fs_incoming i USING (feed_id)
WHERE f.origin = ?1 AND f.dataset = ?2 AND f.audience = ?3 AND f.epoch = ?4 AND i.seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?5));

-- name: last_batch_id
-- Batch ids grow in apply order: later content of a key has the higher one.
SELECT coalesce(max(batch_id), 0) FROM fs_incoming;

-- name: decided_after
-- What was decided after a batch, in that order.
SELECT name, verdict, documents FROM fs_incoming WHERE batch_id > ?1 ORDER BY batch_id;

-- name: receipt_decided
-- The answer to a batch that was decided here.
SELECT i.name, f.origin, i.manifest_sha256, i.verdict, i.receipt, i.business_date, i.acknowledged, NULL
FROM fs_incoming i JOIN fs_feed f USING (feed_id)
WHERE i.name = ?1;

-- name: receipt_refused
-- The latest answer to a refused claim of this name.
SELECT name, origin, manifest_sha256, 'REJECTED', receipt, NULL, acknowledged, code
FROM fs_refused
WHERE name = ?1
ORDER BY rowid DESC LIMIT 1;

-- name: unacknowledged_decided
-- Receipts that no outbox has had yet, in the order in which they were given.
SELECT i.name, f.origin, i.manifest_sha256, i.verdict, i.receipt, i.business_date, i.acknowledged, NULL
FROM fs_incoming i JOIN fs_feed f USING (feed_id)
WHERE i.acknowledged = 0
ORDER BY i.batch_id;

-- name: unacknowledged_refused
-- Refusals that no outbox has had yet.
SELECT name, origin, manifest_sha256, 'REJECTED', receipt, NULL, acknowledged, code
FROM fs_refused
WHERE acknowledged = 0 AND receipt IS NOT NULL
ORDER BY name;

-- name: acknowledge_decided
-- The receipts of these batches lie in an outbox.
UPDATE fs_incoming SET acknowledged = 1 WHERE name IN (SELECT value FROM json_each(?1)) AND acknowledged = 0;

-- name: acknowledge_refused
-- The answers to these claims lie in an outbox.
UPDATE fs_refused SET acknowledged = 1 WHERE name IN (SELECT value FROM json_each(?1)) AND acknowledged = 0;

-- name: refused
-- Which of these claims were refused before.
SELECT name, origin, manifest_sha256, 'REJECTED', receipt, NULL, acknowledged, code
FROM fs_refused
WHERE manifest_sha256 IN (SELECT value FROM json_each(?1));

-- name: record_refused
-- The first refusal of a claim stands: its answer may be out already.
INSERT INTO fs_refused (manifest_sha256, name, origin, code, message, receipt, refused_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING;

-- name: forget_refused
-- An operator lets these claims be judged afresh.
DELETE FROM fs_refused WHERE name IN (SELECT value FROM json_each(?1));

-- name: answered
-- Which of these batches were decided or refused here.
SELECT value FROM json_each(?1) AS asked
WHERE EXISTS (SELECT 1 FROM fs_incoming WHERE name = asked.value) OR EXISTS (SELECT 1 FROM fs_refused WHERE name = asked.value);

-- name: newest_applied
-- The newest batch of every feed that comes here, without those that were rejected; later ones later.
SELECT f.origin, f.dataset, f.audience, i.name, i.batch_id, i.mode, i.business_date, i.applied_at
FROM fs_feed f JOIN fs_incoming i ON i.batch_id = (
    SELECT n.batch_id FROM fs_incoming n WHERE n.feed_id = f.feed_id AND n.verdict <> 'REJECTED' ORDER BY n.seq DESC LIMIT 1
)
ORDER BY i.batch_id;

-- name: incoming_batch
-- Everything known of a batch that was decided here.
SELECT name, batch_id, version, mode, manifest_sha256, payload_sha256, verdict, receipt, received_at, applied_at, acknowledged, documents
FROM fs_incoming
WHERE name = ?1;

-- name: last_sealed
-- The mode of the newest batch of an own feed, and who was to have it and has not refused it.
SELECT o.mode, d.recipient
FROM fs_feed f JOIN fs_outgoing o USING (feed_id, seq) LEFT JOIN fs_delivery d ON d.batch_id = o.batch_id AND d.verdict IS DISTINCT FROM 'REJECTED'
WHERE f.origin = ?1 AND f.dataset = ?2 AND f.audience = ?3 AND f.epoch = ?4;

-- name: beginners
-- Which of these sites an own feed cannot simply go on for: its newest batch was not for them, or they still wait for a snapshot.
SELECT asked.value FROM fs_feed f JOIN fs_outgoing o ON o.feed_id = f.feed_id AND o.seq = f.seq CROSS JOIN json_each(?5) AS asked
WHERE f.origin = ?1 AND f.dataset = ?2 AND f.audience = ?3 AND f.epoch = ?4 AND (
    NOT EXISTS (SELECT 1 FROM fs_delivery d WHERE d.batch_id = o.batch_id AND d.recipient = asked.value)
    OR EXISTS (SELECT 1 FROM fs_beginner b WHERE b.feed_id = f.feed_id AND b.recipient = asked.value)
);

-- name: begun
-- These recipients begin, or begin anew, with this batch.
DELETE FROM fs_beginner WHERE feed_id = ?1 AND recipient IN (SELECT recipient FROM fs_delivery WHERE batch_id = ?2);

-- name: not_begun
-- Those recipients of this batch who did not have the one before it.
INSERT INTO fs_beginner (feed_id, recipient)
SELECT o.feed_id, d.recipient
FROM fs_outgoing o JOIN fs_delivery d USING (batch_id) JOIN fs_outgoing before ON before.feed_id = o.feed_id AND before.seq = o.seq - 1
WHERE o.batch_id = ?1 AND NOT EXISTS (SELECT 1 FROM fs_delivery had WHERE had.batch_id = before.batch_id AND had.recipient = d.recipient)
ON CONFLICT DO NOTHING;

-- name: begin_anew
-- A peer speaks as an installation that was never heard of before: of the feeds that go on for it, it may hold nothing.
INSERT INTO fs_beginner (feed_id, recipient)
SELECT f.feed_id, ?3
FROM fs_feed f JOIN fs_outgoing o ON o.feed_id = f.feed_id AND o.seq = f.seq JOIN fs_delivery d ON d.batch_id = o.batch_id AND d.recipient = ?3
WHERE f.origin = ?1 AND f.epoch = ?2
  AND EXISTS (SELECT 1 FROM fs_peer WHERE peer = ?3) AND NOT EXISTS (SELECT 1 FROM fs_peer WHERE peer = ?3 AND epoch = ?4)
ON CONFLICT DO NOTHING;

-- name: outgoing_open
-- Deliveries without an answer, in the order in which they were sealed.
SELECT o.name, d.batch_id, d.recipient, o.format, o.sealed_at, d.shipped_at, o.payload_bytes, o.documents, o.business_date, d.carried_at
FROM fs_delivery d JOIN fs_outgoing o USING (batch_id)
WHERE d.settled_at IS NULL
ORDER BY d.batch_id, d.recipient;

-- name: manifests_of
-- The manifests of these batches, byte for byte. Apart from their deliveries: it names all recipients, and there is one delivery for each.
SELECT name, manifest FROM fs_outgoing WHERE name IN (SELECT value FROM json_each(?1));

-- name: outgoing_state
-- Who has answered these batches.
SELECT o.name, o.manifest_sha256, o.settled_at IS NOT NULL, d.recipient, d.verdict
FROM fs_outgoing o JOIN fs_delivery d USING (batch_id)
WHERE o.name IN (SELECT value FROM json_each(?1));

-- name: outgoing_state_of
-- Whether one recipient has answered these batches: of one that went to thousands only its own row is looked at.
SELECT o.name, o.manifest_sha256, o.settled_at IS NOT NULL, d.recipient, d.verdict
FROM fs_outgoing o JOIN fs_delivery d USING (batch_id)
WHERE o.name IN (SELECT value FROM json_each(?1)) AND d.recipient = ?2;

-- name: mark_shipped
-- Shipping again says when it was shipped last.
UPDATE fs_delivery SET shipped_at = ?1
WHERE batch_id = (SELECT batch_id FROM fs_outgoing WHERE name = ?2) AND recipient = ?3;

-- name: mark_carried
-- Lies on a stick since then. It counts as shipped for nothing.
UPDATE fs_delivery SET carried_at = ?1
WHERE batch_id = (SELECT batch_id FROM fs_outgoing WHERE name = ?2) AND recipient = ?3;

-- name: settle
-- The first answer of a recipient stands; the same one, or another, arriving later changes nothing.
UPDATE fs_delivery SET verdict = ?1, receipt = ?2, settled_at = ?3
WHERE batch_id = (SELECT batch_id FROM fs_outgoing WHERE name = ?4) AND recipient = ?5 AND settled_at IS NULL;

-- name: close_settled
-- A batch that every recipient has answered is settled.
UPDATE fs_outgoing SET settled_at = ?1
WHERE name IN (SELECT value FROM json_each(?2)) AND settled_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM fs_delivery d WHERE d.batch_id = fs_outgoing.batch_id AND d.settled_at IS NULL);

-- name: settled_names
-- Which of these batches every recipient has answered.
SELECT name FROM fs_outgoing WHERE name IN (SELECT value FROM json_each(?1)) AND settled_at IS NOT NULL;

-- name: outgoing_batch
-- Everything known of a batch sealed here.
SELECT name, batch_id, mode, format, payload_bytes, payload_sha256, documents, manifest, manifest_sha256, replaces, sealed_at, settled_at
FROM fs_outgoing
WHERE name = ?1;

-- name: deliveries
-- The recipients of one batch and their answers.
SELECT recipient, shipped_at, verdict, receipt, settled_at, carried_at FROM fs_delivery WHERE batch_id = ?1 ORDER BY recipient;

-- name: last_outgoing_id
-- Numbers of batches sealed here.
SELECT coalesce(max(batch_id), 0) FROM fs_outgoing;

-- name: feeds
-- Every feed with its head.
SELECT feed_id, origin, dataset, audience, epoch, seq, batches FROM fs_feed WHERE seq > 0 ORDER BY origin, dataset, audience, feed_id;

-- name: feeds_open
-- Batches of own feeds that wait for an answer: how many, and the first of them.
SELECT feed_id, count(*), min(seq) FROM fs_outgoing WHERE settled_at IS NULL GROUP BY feed_id;

-- name: feeds_rejected_out
-- Batches that a recipient rejected, by feed.
SELECT o.feed_id, count(DISTINCT d.batch_id)
FROM fs_delivery d JOIN fs_outgoing o USING (batch_id)
WHERE d.verdict = 'REJECTED'
GROUP BY o.feed_id;

-- name: feeds_rejected_in
-- Batches that this site rejected, by feed.
SELECT feed_id, count(*) FROM fs_incoming WHERE verdict = 'REJECTED' GROUP BY feed_id;

-- name: heard_again
-- An installation that goes on speaking (twice) after another one of its site is the one at work: its row is written anew, behind the other's.
-- Once is not enough: a dead one's disk may be read, or its computer be switched on again by mistake.
DELETE FROM fs_peer
WHERE peer = ?1 AND epoch = ?2 AND counter < ?3 AND EXISTS (
    SELECT 1 FROM fs_peer AS latest
    WHERE latest.peer = ?1 AND latest.peer_id = (SELECT max(peer_id) FROM fs_peer WHERE peer = ?1)
      AND latest.peer_id > fs_peer.peer_id AND latest.heard < fs_peer.heard);

-- name: record_heard
-- A newer heartbeat replaces an older one of the same installation; the same one again says nothing new.
INSERT INTO fs_peer (peer, epoch, counter, heartbeat, received_at, heard, knew)
VALUES (?1, ?2, ?3, ?4, ?5, (SELECT coalesce(max(heard), 0) + 1 FROM fs_peer WHERE peer = ?1), (SELECT coalesce(max(feed_id), 0) FROM fs_feed))
ON CONFLICT (peer, epoch) DO UPDATE SET
    counter = excluded.counter, heartbeat = excluded.heartbeat, received_at = excluded.received_at, heard = excluded.heard, knew = excluded.knew
WHERE excluded.counter > fs_peer.counter OR (excluded.counter = fs_peer.counter AND excluded.heartbeat <> fs_peer.heartbeat);

-- name: forget_heard
-- Of a peer that is installed again and again only the latest installations are kept.
DELETE FROM fs_peer WHERE peer = ?1 AND peer_id NOT IN (SELECT peer_id FROM fs_peer WHERE peer = ?1 ORDER BY peer_id DESC LIMIT 4);

-- name: heard
-- What every peer said last, later installations later.
SELECT peer, heartbeat, received_at FROM fs_peer ORDER BY peer_id;

-- name: marks_ahead
-- How far peers say that feeds for us are sealed, where that is further than what is decided here, in every installation that is remembered.
SELECT p.peer, m.value ->> 'dataset', m.value ->> 'audience', p.epoch, m.value ->> 'oldest_open', m.value ->> 'sealed'
FROM fs_peer p CROSS JOIN json_each(p.heartbeat, '$.feeds') AS m
WHERE (m.value ->> 'sealed') > coalesce((
    SELECT f.seq FROM fs_feed f
    WHERE f.origin = p.peer AND f.dataset = m.value ->> 'dataset' AND f.audience = m.value ->> 'audience' AND f.epoch = p.epoch
), 0)
ORDER BY p.peer_id;

-- name: record_told
-- What a peer was told last.
INSERT INTO fs_told (recipient, counter, news_sha256, written_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (recipient) DO UPDATE SET
    counter = excluded.counter, news_sha256 = excluded.news_sha256, written_at = excluded.written_at;

-- name: told
-- What all peers were told last.
SELECT recipient, counter, news_sha256, written_at FROM fs_told;

-- name: heads_for
-- For whom the newest batch of each own feed is.
SELECT d.recipient, f.dataset, f.audience, f.seq
FROM fs_feed f CROSS JOIN fs_outgoing o ON o.feed_id = f.feed_id AND o.seq = f.seq CROSS JOIN fs_delivery d ON d.batch_id = o.batch_id
WHERE f.origin = ?1 AND f.epoch = ?2
ORDER BY f.dataset, f.audience;

-- name: open_for
-- Each own feed that a recipient has not answered: first and last such number, the first that has not left (0: all have), when the last left.
SELECT d.recipient, f.dataset, f.audience, min(o.seq), max(o.seq),
       coalesce(min(CASE WHEN d.shipped_at IS NULL AND d.carried_at IS NULL THEN o.seq END), 0), max(coalesce(d.shipped_at, d.carried_at))
FROM fs_delivery d JOIN fs_outgoing o USING (batch_id) JOIN fs_feed f USING (feed_id)
WHERE d.settled_at IS NULL AND f.epoch = ?1
GROUP BY d.recipient, f.dataset, f.audience
ORDER BY d.recipient, f.dataset, f.audience;

-- name: open_memory
-- A dataset and audience are remembered from their first batch.
INSERT INTO fs_memory (dataset, audience) VALUES (?1, ?2) ON CONFLICT DO NOTHING;

-- name: memory_id
-- The number of one memory.
SELECT memory_id FROM fs_memory WHERE dataset = ?1 AND audience = ?2;

-- name: buckets_named
-- These packed buckets of a memory.
SELECT s.bucket_id, s.entries FROM json_each(?1) AS asked CROSS JOIN fs_sealed s ON s.bucket_id = CAST(asked.value AS BIGINT) ORDER BY s.bucket_id;

-- name: buckets_between
-- A run of packed buckets of a memory.
SELECT bucket_id, entries FROM fs_sealed WHERE bucket_id BETWEEN ?1 AND ?2 ORDER BY bucket_id;

-- name: buckets_any
-- Whether anything is remembered.
SELECT EXISTS (SELECT 1 FROM fs_sealed WHERE bucket_id BETWEEN ?1 AND ?2);

-- name: remembered
-- How many documents a memory holds.
SELECT coalesce(sum(length(entries)), 0) / 40 FROM fs_sealed WHERE bucket_id BETWEEN ?1 AND ?2;

-- name: write_bucket
-- A bucket is replaced as a whole.
INSERT INTO fs_sealed (bucket_id, entries) VALUES (?1, ?2) ON CONFLICT (bucket_id) DO UPDATE SET entries = excluded.entries;

-- name: forget_buckets
-- After a snapshot only what it holds is remembered.
DELETE FROM fs_sealed WHERE bucket_id BETWEEN ?1 AND ?2;

-- name: rejected_batches
-- Batches of a dataset and audience that a recipient rejected, and whether they are being replaced, or only their number was given up.
SELECT DISTINCT o.batch_id, o.name, EXISTS (SELECT 1 FROM fs_outgoing later WHERE later.replaces = o.name)
    OR EXISTS (SELECT 1 FROM fs_given_up g WHERE g.batch_id = o.batch_id)
FROM fs_delivery d JOIN fs_outgoing o USING (batch_id) JOIN fs_feed f USING (feed_id)
WHERE d.verdict = 'REJECTED' AND f.dataset = ?1 AND f.audience = ?2;

-- name: captured
-- With what a dropped file was captured.
SELECT path, content_sha256, settings_sha256, outcome, captured_at FROM fs_captured WHERE path = ?1;

-- name: record_captured
-- The newest reading of a file is remembered.
INSERT INTO fs_captured (path, content_sha256, settings_sha256, outcome, captured_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (path) DO UPDATE SET
    content_sha256 = excluded.content_sha256, settings_sha256 = excluded.settings_sha256,
    outcome = excluded.outcome, captured_at = excluded.captured_at;

-- name: record_problem
-- The audit only grows.
INSERT INTO fs_problem (at, name, peer, code, message, resolution) VALUES (?1, ?2, ?3, ?4, ?5, ?6);

-- name: problems
-- The newest entries of the audit.
SELECT problem_id, at, name, peer, code, message, resolution FROM fs_problem ORDER BY problem_id DESC LIMIT ?1;

-- name: problems_of
-- All entries about one thing, oldest first.
SELECT problem_id, at, name, peer, code, message, resolution FROM fs_problem WHERE name = ?1 ORDER BY problem_id;

-- name: names_between
-- Batches of the ledger by the beginning of their names, for a person who types less than the whole.
SELECT name FROM fs_outgoing WHERE name >= ?1 AND name < ?2
UNION SELECT name FROM fs_incoming WHERE name >= ?1 AND name < ?2
UNION SELECT name FROM fs_refused WHERE name >= ?1 AND name < ?2
ORDER BY name LIMIT ?3;

-- name: has_temporary
-- Whether this connection has such a temporary table.
SELECT EXISTS (SELECT 1 FROM temp.sqlite_master WHERE name = ?1);

-- name: table_columns
-- The columns of a data table as it stands; key columns have their place in the key, others 0.
SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid;

-- name: doctor_arrived
-- The newest batch of every feed that comes here: what its sender's software and clock were like. For a diagnosis.
SELECT f.origin, f.dataset, i.version, i.received_at, i.applied_at
FROM fs_feed f CROSS JOIN fs_incoming i ON i.feed_id = f.feed_id AND i.seq = f.seq -- by the feeds, not by the history
ORDER BY i.batch_id DESC;

-- name: doctor_answered
-- The newest answers to what was sealed here: what the recipients' contracts, software and clocks were like. For a diagnosis.
SELECT d.recipient, o.sealed_at, d.settled_at, d.receipt
FROM fs_delivery d JOIN fs_outgoing o USING (batch_id)
WHERE d.settled_at IS NOT NULL AND d.batch_id > (SELECT coalesce(max(batch_id), 0) FROM fs_outgoing) - 500
ORDER BY d.batch_id DESC;

-- name: doctor_sealed
-- The newest batch that was sealed here. For a diagnosis.
SELECT sealed_at FROM fs_outgoing ORDER BY batch_id DESC LIMIT 1;
