-- The statements of days.py. Rules as in queries.sql.

-- name: day_sealed
-- Every batch of a day that was sealed here.
SELECT o.batch_id, o.name, f.origin, f.dataset, f.audience, f.epoch, o.seq, o.format, o.payload_sha256, o.documents, o.manifest, o.replaces
FROM fs_outgoing o JOIN fs_feed f USING (feed_id)
WHERE o.business_date = ?1
ORDER BY o.batch_id;

-- name: day_sealed_answers
-- What became of them at their recipients.
SELECT d.batch_id, d.recipient, d.verdict, d.shipped_at IS NOT NULL
FROM fs_outgoing o JOIN fs_delivery d USING (batch_id)
WHERE o.business_date = ?1
ORDER BY d.batch_id, d.recipient;

-- name: days_sealed_after_close
-- Closed days of which sales were sealed after the close. From the closes, which are few, to the batches of their days.
SELECT o.business_date, count(*), sum(o.documents)
FROM (
    SELECT c.business_date, max(c.batch_id) AS batch_id
    FROM fs_feed f JOIN fs_outgoing c USING (feed_id)
    WHERE f.dataset = 'fechamento'
    GROUP BY c.business_date
) AS closed
JOIN fs_outgoing o ON o.business_date = closed.business_date AND o.batch_id > closed.batch_id
JOIN fs_feed f ON f.feed_id = o.feed_id AND f.dataset = 'vendas'
GROUP BY o.business_date
ORDER BY o.business_date;
