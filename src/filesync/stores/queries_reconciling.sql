-- The statements of reconciling.py: what was found, and what it saw. Rules as in queries.sql. How it is found: matching.sql.

-- name: reconcile_imported
-- Whether a file of this kind was taken in for the day. An empty one was, too.
SELECT EXISTS (
    SELECT 1 FROM fs_incoming i CROSS JOIN fs_feed f USING (feed_id)
    WHERE i.business_date = ?2 AND f.dataset = ?1 AND i.verdict <> 'REJECTED');

-- name: reconcile_forget_lines
-- A day is reconciled as a whole: what an earlier run found goes.
DELETE FROM fs_reconciled WHERE day = ?1;

-- name: reconcile_forget_totals
-- What it added up goes too.
DELETE FROM fs_reconciled_total WHERE day = ?1;

-- name: reconcile_forget
-- And what it saw.
DELETE FROM fs_reconciliation WHERE day = ?1;

-- name: reconcile_write
-- What it saw. At the commit of this row the day is reconciled.
INSERT INTO fs_reconciliation (day, made_at, batch_id, sales, bdf_rows, ca_rows, unbilled) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: reconciliations
-- What the reconciliations of the days between two saw.
SELECT day, made_at, batch_id, sales, bdf_rows, ca_rows, unbilled FROM fs_reconciliation WHERE day BETWEEN ?1 AND ?2 ORDER BY day;

-- name: reconciliation_newer
-- Whether anything of these kinds was applied since: without it nothing can have changed.
SELECT EXISTS (
    SELECT 1 FROM fs_incoming i CROSS JOIN fs_feed f USING (feed_id)
    WHERE i.batch_id > ?1 AND f.dataset IN ('vendas', 'bdf', 'ca') AND i.verdict <> 'REJECTED');

-- name: reconciled_totals
-- A day's totals.
SELECT dimension, value, colour, lines, sold, sold_centavos, bdf_quantidade, bdf_centavos, ca_quantidade, ca_centavos
FROM fs_reconciled_total WHERE day = ?1 ORDER BY dimension, value, colour;

-- name: reconciled_colours
-- The colours of several days, for a calendar.
SELECT day, colour, lines FROM fs_reconciled_total WHERE dimension = 'all' AND day BETWEEN ?1 AND ?2 ORDER BY day, colour;

-- name: reconciled_page
-- Lines of one colour after a place, in the order of the sites.
SELECT site, line, ticket, venda_id, posting, codigo_rastreio, servico, contrato, sub_caixa, numero_atendimento, forma, valor_centavos,
       bdf, bdf_how, bdf_differs, bdf_row, bdf_quantidade, bdf_centavos, ca, ca_how, ca_differs, ca_row, ca_quantidade, ca_centavos
FROM fs_reconciled
WHERE day = ?1 AND colour = ?2 AND (site, line) > (?3, ?4)
ORDER BY site, line LIMIT ?5;
