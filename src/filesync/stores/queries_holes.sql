-- The statements of holes.py. Rules as in queries.sql.

-- name: holes
-- What is missing here, as far as it was noticed.
SELECT origin, dataset, audience, epoch, first_seq, last_seq, noticed_at, asked_at
FROM fs_hole
ORDER BY origin, dataset, audience, epoch, first_seq;

-- name: forget_holes
-- What is missing is written anew as a whole: there is never much of it.
DELETE FROM fs_hole;

-- name: record_hole
-- One run of missing numbers.
INSERT INTO fs_hole (origin, dataset, audience, epoch, first_seq, last_seq, noticed_at, asked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);

-- name: voids
-- Every number that was given up.
SELECT f.origin, f.dataset, f.audience, f.epoch, v.seq, v.name, v.manifest_sha256, v.claims, v.reason, v.by_whom, v.voided_at, v.void IS NULL
FROM fs_void v CROSS JOIN fs_feed f USING (feed_id)
ORDER BY f.origin, f.dataset, f.audience, f.feed_id, v.seq;

-- name: voids_of
-- The numbers of one feed, in all its epochs, that were given up.
SELECT f.origin, f.dataset, f.audience, f.epoch, v.seq, v.name, v.manifest_sha256, v.claims, v.reason, v.by_whom, v.voided_at, v.void IS NULL
FROM fs_feed f JOIN fs_void v USING (feed_id)
WHERE f.origin = ?1 AND f.dataset = ?2 AND f.audience = ?3
ORDER BY f.feed_id, v.seq;

-- name: voids_known
-- Which of these numbers were given up, and on which manifest.
SELECT v.seq, v.manifest_sha256
FROM fs_feed f JOIN fs_void v USING (feed_id)
WHERE f.origin = ?1 AND f.dataset = ?2 AND f.audience = ?3 AND f.epoch = ?4 AND v.seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?5));

-- name: voids_ahead
-- Numbers that were given up while numbers before them are still open.
SELECT f.feed_id, f.origin, f.dataset, f.audience, f.epoch, f.seq, v.seq, v.manifest_sha256
FROM fs_void v CROSS JOIN fs_feed f ON f.feed_id = v.feed_id AND v.seq > f.seq
ORDER BY f.feed_id, v.seq;

-- name: record_void
-- A number is given up once; its origin's word fills in what an override before it could not know.
INSERT INTO fs_void (feed_id, seq, name, manifest_sha256, claims, reason, by_whom, voided_at, void) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (feed_id, seq) DO UPDATE SET
    name = coalesce(fs_void.name, excluded.name), manifest_sha256 = coalesce(fs_void.manifest_sha256, excluded.manifest_sha256),
    claims = coalesce(fs_void.claims, excluded.claims), void = coalesce(fs_void.void, excluded.void);

-- name: void_id
-- The number of one void.
SELECT void_id FROM fs_void WHERE name = ?1;

-- name: count_void
-- A number that is given up, and was never decided by a batch, counts as decided.
UPDATE fs_feed SET batches = batches + 1 WHERE feed_id = ?1;

-- name: advance_over_void
-- The head moves on over a number that was given up; its digest may be unknown.
UPDATE fs_feed SET seq = ?2, manifest_sha256 = ?3 WHERE feed_id = ?1 AND seq = ?2 - 1;

-- name: feed_epochs
-- The installations in which a feed is known here, with their heads, the newest last.
SELECT epoch, seq, manifest_sha256 FROM fs_feed WHERE origin = ?1 AND dataset = ?2 AND audience = ?3 ORDER BY feed_id;

-- name: decided_between
-- What was decided here of some numbers of a feed.
SELECT i.seq, i.name, i.verdict, i.manifest_sha256, nullif(i.claims, '')
FROM fs_feed f JOIN fs_incoming i USING (feed_id)
WHERE f.origin = ?1 AND f.dataset = ?2 AND f.audience = ?3 AND f.epoch = ?4 AND i.seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?5));

-- name: tell_void
-- This recipient must hear of it (again).
INSERT INTO fs_void_told (void_id, recipient) VALUES (?1, ?2) ON CONFLICT (void_id, recipient) DO UPDATE SET answered_at = NULL;

-- name: untold_voids
-- Voids of our own that a recipient has not answered.
SELECT v.name, t.recipient, v.void, d.shipped_at, v.voided_at
FROM fs_void_told t JOIN fs_void v USING (void_id) JOIN fs_outgoing o ON o.name = v.name JOIN fs_delivery d ON d.batch_id = o.batch_id AND d.recipient = t.recipient
WHERE t.answered_at IS NULL
ORDER BY v.void_id, t.recipient;

-- name: void_answered
-- A recipient has answered a void of ours.
UPDATE fs_void_told SET answered_at = ?3
WHERE answered_at IS NULL AND recipient = ?2 AND void_id = (SELECT void_id FROM fs_void WHERE name = ?1);

-- name: voided_names
-- Which of these batches were given up, by their own names.
SELECT name FROM fs_void WHERE name IN (SELECT value FROM json_each(?1));

-- name: voids_taken
-- Of which of these batches the origin's void was taken here.
SELECT name FROM fs_void WHERE void IS NOT NULL AND name IN (SELECT value FROM json_each(?1));

-- name: outgoing_numbers
-- Own batches of one feed and installation by their numbers, with who was to have them.
SELECT o.seq, o.batch_id, o.name, o.manifest, o.manifest_sha256, d.recipient, d.verdict, d.shipped_at
FROM fs_feed f JOIN fs_outgoing o USING (feed_id) JOIN fs_delivery d USING (batch_id)
WHERE f.origin = ?1 AND f.dataset = ?2 AND f.audience = ?3 AND f.epoch = ?4 AND o.seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?5))
ORDER BY o.seq, d.recipient;

-- name: reopen_delivery
-- Its recipient has lost it: as if it had never been answered.
UPDATE fs_delivery SET verdict = NULL, receipt = NULL, settled_at = NULL, shipped_at = NULL WHERE batch_id = ?1 AND recipient = ?2;

-- name: reopen_batch
-- No longer answered by everybody.
UPDATE fs_outgoing SET settled_at = NULL WHERE batch_id = ?1;

-- name: give_up
-- The answer that stands says that the number was given up: the rows may come again as they are.
INSERT INTO fs_given_up (batch_id)
SELECT d.batch_id FROM fs_delivery d JOIN fs_outgoing o USING (batch_id)
WHERE o.name = ?1 AND d.recipient = ?2 AND d.verdict = 'REJECTED' AND d.receipt = ?3
ON CONFLICT DO NOTHING;

-- name: opening_given_up
-- A snapshot of ours was given up: whoever did not apply it begins with the next one.
INSERT INTO fs_beginner (feed_id, recipient)
SELECT o.feed_id, owed.value FROM fs_outgoing o CROSS JOIN json_each(?2) AS owed
WHERE o.name = ?1 AND o.mode = 'snapshot'
ON CONFLICT DO NOTHING;

-- name: given_up
-- Batches of ours that were given up and whose rows are owed, oldest first, and whether anything was sealed after them in their feed.
SELECT o.batch_id, o.name, o.manifest, EXISTS (SELECT 1 FROM fs_outgoing later WHERE later.feed_id = o.feed_id AND later.seq > o.seq)
FROM fs_given_up g JOIN fs_outgoing o USING (batch_id)
WHERE g.sealed_again = 0
ORDER BY o.batch_id;

-- name: sealed_again
-- What was owed of it stands in a later batch.
UPDATE fs_given_up SET sealed_again = 1 WHERE batch_id = ?1;

-- name: unship
-- What is told now has not left yet.
UPDATE fs_delivery SET shipped_at = NULL WHERE batch_id = (SELECT batch_id FROM fs_outgoing WHERE name = ?1) AND recipient = ?2;
