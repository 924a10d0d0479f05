-- Matching sales and billing files: the steps of matching.py, in their order. They read the data tables of `vendas`, `bdf` and `ca` and
-- work in temporary tables (on disk). ?1 is the day where data are read, and the kind of file ('bdf' or 'ca') where they are matched.

-- name: make_sold
-- Postings of sales that stand. `k` counts equal ones: a code may be posted twice, even for the same amount.
CREATE TEMP TABLE fs_sold (
    codigo_rastreio TEXT NOT NULL, valor INTEGER NOT NULL, k INTEGER NOT NULL, site TEXT, ticket TEXT, venda_id TEXT, posting INTEGER,
    servico TEXT, contrato TEXT, sub_caixa TEXT, numero_atendimento TEXT, forma TEXT,
    PRIMARY KEY (codigo_rastreio, valor, k)) WITHOUT ROWID;

-- name: make_cancelled
-- Postings of cancelled sales: they bill nothing, but say why something is billed that was not sold.
CREATE TEMP TABLE fs_cancelled (
    codigo_rastreio TEXT PRIMARY KEY, site TEXT, ticket TEXT, venda_id TEXT, posting INTEGER) WITHOUT ROWID;

-- name: make_billed
-- Rows of the files. `ident` is the tracking code; of a row without one its attendance and service, which no code can equal.
CREATE TEMP TABLE fs_billed (
    kind TEXT NOT NULL, ident TEXT NOT NULL, valor INTEGER NOT NULL, k INTEGER NOT NULL, codigo_rastreio TEXT, quantidade INTEGER,
    servico TEXT, contrato TEXT, sub_caixa TEXT, numero_atendimento TEXT, sequencia INTEGER,
    PRIMARY KEY (kind, ident, valor, k)) WITHOUT ROWID;

-- name: make_reversed
-- A reversal and the row that it takes back: `up` is the k of the positive one.
CREATE TEMP TABLE fs_reversed (ident TEXT NOT NULL, amount INTEGER NOT NULL, down INTEGER NOT NULL, up INTEGER NOT NULL);

-- name: make_left
-- Postings that no row of the kind equals in code and value; `over_id` is the row that was found for it otherwise.
CREATE TEMP TABLE fs_left (
    id INTEGER PRIMARY KEY, codigo_rastreio TEXT, valor INTEGER, k INTEGER, site TEXT, servico TEXT, contrato TEXT, sub_caixa TEXT,
    numero_atendimento TEXT, over_id INTEGER, how TEXT, several INTEGER);

-- name: make_over
-- Rows of the kind that no posting equals in code and value.
CREATE TEMP TABLE fs_over (
    id INTEGER PRIMARY KEY, ident TEXT, codigo_rastreio TEXT, valor INTEGER, quantidade INTEGER, servico TEXT, contrato TEXT, sub_caixa TEXT,
    numero_atendimento TEXT, sequencia INTEGER);

-- name: make_place
-- The places that rows take among those with the same key: a row of three objects takes three.
CREATE TEMP TABLE fs_place (key TEXT NOT NULL, upto INTEGER NOT NULL, over_id INTEGER, PRIMARY KEY (key, upto)) WITHOUT ROWID;

-- name: make_found
-- What was found for the postings that were left.
CREATE TEMP TABLE fs_found (
    kind TEXT NOT NULL, codigo_rastreio TEXT NOT NULL, valor INTEGER NOT NULL, k INTEGER NOT NULL, how TEXT, differs TEXT, row TEXT,
    quantidade INTEGER, centavos INTEGER,
    PRIMARY KEY (kind, codigo_rastreio, valor, k)) WITHOUT ROWID;

-- name: make_alone
-- Billed rows that no posting accounts for.
CREATE TEMP TABLE fs_alone (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, ident TEXT, codigo_rastreio TEXT, valor INTEGER, quantidade INTEGER,
    servico TEXT, contrato TEXT, sub_caixa TEXT, numero_atendimento TEXT, sequencia INTEGER);

-- name: take_sold
-- A posting carries the payment form of its sale. The order is that of the key, so that the table is written once, from left to right.
INSERT INTO temp.fs_sold
SELECT codigo_rastreio, valor, row_number() OVER (PARTITION BY codigo_rastreio, valor ORDER BY site, venda_id, posting),
       site, ticket, venda_id, posting, servico, contrato, sub_caixa, numero_atendimento, forma
FROM (
    SELECT p.codigo_rastreio, p.valor_centavos AS valor, p.origem AS site, v.caixa || '/' || v.serie || '/' || v.numero AS ticket,
           p.venda_id, p.numero AS posting, p.servico, p.contrato, p.sub_caixa, p.numero_atendimento,
           (SELECT CASE WHEN count(*) = 0 THEN '' WHEN min(g.forma) = max(g.forma) THEN min(g.forma) ELSE 'several' END
            FROM vendas_pagamentos g WHERE g.origem = v.origem AND g.venda_id = v.venda_id) AS forma
    FROM vendas v CROSS JOIN vendas_postagens p ON p.origem = v.origem AND p.venda_id = v.venda_id
    WHERE v.data_movimento = ?1 AND v.situacao <> 'cancelada') AS postings;

-- name: take_cancelled
-- Of a code that several cancelled sales hold the first one names it.
INSERT INTO temp.fs_cancelled
SELECT p.codigo_rastreio, p.origem, v.caixa || '/' || v.serie || '/' || v.numero, p.venda_id, p.numero
FROM vendas v CROSS JOIN vendas_postagens p ON p.origem = v.origem AND p.venda_id = v.venda_id
WHERE v.data_movimento = ?1 AND v.situacao = 'cancelada'
ORDER BY p.codigo_rastreio, p.origem, p.venda_id, p.numero
ON CONFLICT DO NOTHING;

-- name: count_vendas
-- How many sales the day has, and the newest batch that brought one of them.
SELECT count(*), coalesce(max(fs_batch), 0) FROM vendas WHERE data_movimento = ?1;

-- name: count_bdf
-- The same of the BDF. By the importing sites, so that the key finds the day.
WITH RECURSIVE o (origem) AS (
    SELECT min(origem) FROM bdf UNION ALL SELECT (SELECT min(b.origem) FROM bdf b WHERE b.origem > o.origem) FROM o WHERE o.origem IS NOT NULL)
SELECT count(*), coalesce(max(b.fs_batch), 0) FROM o CROSS JOIN bdf b ON b.origem = o.origem AND b.data = ?1;

-- name: count_ca
-- The same of the C.A.
WITH RECURSIVE o (origem) AS (
    SELECT min(origem) FROM ca UNION ALL SELECT (SELECT min(b.origem) FROM ca b WHERE b.origem > o.origem) FROM o WHERE o.origem IS NOT NULL)
SELECT count(*), coalesce(max(b.fs_batch), 0) FROM o CROSS JOIN ca b ON b.origem = o.origem AND b.data = ?1;

-- name: count_days_vendas
-- The same of every day between two.
SELECT data_movimento, count(*), max(fs_batch) FROM vendas WHERE data_movimento BETWEEN ?1 AND ?2 GROUP BY data_movimento;

-- name: count_days_bdf
-- The same of the BDF.
SELECT data, count(*), max(fs_batch) FROM bdf WHERE data BETWEEN ?1 AND ?2 GROUP BY data;

-- name: count_days_ca
-- The same of the C.A.
SELECT data, count(*), max(fs_batch) FROM ca WHERE data BETWEEN ?1 AND ?2 GROUP BY data;

-- name: take_bdf
-- Numbers are compared as numbers: a file may write sub-caixa 03 where the sale says 3.
WITH RECURSIVE o (origem) AS (
    SELECT min(origem) FROM bdf UNION ALL SELECT (SELECT min(b.origem) FROM bdf b WHERE b.origem > o.origem) FROM o WHERE o.origem IS NOT NULL)
INSERT INTO temp.fs_billed
SELECT 'bdf', ident, valor, row_number() OVER (PARTITION BY ident, valor ORDER BY origem, sub_caixa, numero_atendimento, sequencia),
       codigo_rastreio, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia
FROM (
    SELECT coalesce(b.codigo_rastreio, '@' || CAST(b.sub_caixa AS BIGINT) || '/' || CAST(b.numero_atendimento AS BIGINT) || '/' || b.servico) AS ident,
           b.valor_cobrado_centavos AS valor, b.origem, b.codigo_rastreio, b.quantidade, b.servico, b.contrato, b.sub_caixa,
           b.numero_atendimento, b.sequencia
    FROM o CROSS JOIN bdf b ON b.origem = o.origem AND b.data = ?1) AS billed;

-- name: take_ca
-- As of the BDF.
WITH RECURSIVE o (origem) AS (
    SELECT min(origem) FROM ca UNION ALL SELECT (SELECT min(b.origem) FROM ca b WHERE b.origem > o.origem) FROM o WHERE o.origem IS NOT NULL)
INSERT INTO temp.fs_billed
SELECT 'ca', ident, valor, row_number() OVER (PARTITION BY ident, valor ORDER BY origem, sub_caixa, numero_atendimento, sequencia),
       codigo_rastreio, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia
FROM (
    SELECT coalesce(b.codigo_rastreio, '@' || CAST(b.sub_caixa AS BIGINT) || '/' || CAST(b.numero_atendimento AS BIGINT) || '/' || b.servico) AS ident,
           b.valor_cobrado_centavos AS valor, b.origem, b.codigo_rastreio, b.quantidade, b.servico, b.contrato, b.sub_caixa,
           b.numero_atendimento, b.sequencia
    FROM o CROSS JOIN ca b ON b.origem = o.origem AND b.data = ?1) AS billed;

-- name: find_reversed
-- A negative row takes back a positive one of the same code (or attendance and service) and amount: the last one first, so that the
-- `k` of those that stay still count from 1.
INSERT INTO temp.fs_reversed
SELECT ident, amount, down, highest - down + 1
FROM (
    SELECT n.ident, -n.valor AS amount, n.k AS down,
           (SELECT max(p.k) FROM temp.fs_billed p WHERE p.kind = ?1 AND p.ident = n.ident AND p.valor = -n.valor) AS highest
    FROM temp.fs_billed n WHERE n.kind = ?1 AND n.valor < 0) AS negative
WHERE highest >= down;

-- name: keep_reversed
-- Both rows of a reversal stand alone: together they bill nothing.
INSERT INTO temp.fs_alone (kind, state, ident, codigo_rastreio, valor, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia)
SELECT b.kind, 'reversed', b.ident, b.codigo_rastreio, b.valor, b.quantidade, b.servico, b.contrato, b.sub_caixa, b.numero_atendimento, b.sequencia
FROM (SELECT ident, amount AS valor, up AS k FROM temp.fs_reversed UNION ALL SELECT ident, -amount, down FROM temp.fs_reversed) r
CROSS JOIN temp.fs_billed b ON b.kind = ?1 AND b.ident = r.ident AND b.valor = r.valor AND b.k = r.k
ORDER BY b.ident, b.valor, b.k;

-- name: take_out_reversed
-- What was taken back is not billed.
DELETE FROM temp.fs_billed
WHERE kind = ?1 AND (ident, valor, k) IN (SELECT ident, amount, up FROM temp.fs_reversed UNION ALL SELECT ident, -amount, down FROM temp.fs_reversed);

-- name: keep_reversals
-- A reversal of nothing that the day's file bills.
INSERT INTO temp.fs_alone (kind, state, ident, codigo_rastreio, valor, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia)
SELECT kind, 'reversal', ident, codigo_rastreio, valor, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia
FROM temp.fs_billed WHERE kind = ?1 AND valor < 0
ORDER BY ident, valor, k;

-- name: take_out_reversals
-- Nobody sells a negative posting.
DELETE FROM temp.fs_billed WHERE kind = ?1 AND valor < 0;

-- name: left
-- First of all the k-th posting of a code and value is the k-th billed row of that code and value. These postings have none.
INSERT INTO temp.fs_left (codigo_rastreio, valor, k, site, servico, contrato, sub_caixa, numero_atendimento)
SELECT codigo_rastreio, valor, k, site, servico, contrato, sub_caixa, numero_atendimento
FROM temp.fs_sold s
WHERE NOT EXISTS (SELECT 1 FROM temp.fs_billed b WHERE b.kind = ?1 AND b.ident = s.codigo_rastreio AND b.valor = s.valor AND b.k = s.k)
ORDER BY codigo_rastreio, valor, k;

-- name: over
-- And these billed rows have no posting.
INSERT INTO temp.fs_over (ident, codigo_rastreio, valor, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia)
SELECT ident, codigo_rastreio, valor, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia
FROM temp.fs_billed b
WHERE b.kind = ?1
  AND NOT EXISTS (SELECT 1 FROM temp.fs_sold s WHERE s.codigo_rastreio = b.ident AND s.valor = b.valor AND s.k = b.k)
ORDER BY ident, valor, k;

-- name: open
-- What is still to be found: postings, billed rows with a code, billed rows without one.
SELECT (SELECT count(*) FROM temp.fs_left WHERE over_id IS NULL), count(codigo_rastreio), count(*) - count(codigo_rastreio)
FROM temp.fs_over WHERE id NOT IN (SELECT over_id FROM temp.fs_left WHERE over_id IS NOT NULL);

-- name: forget_places
-- Each pass begins with none.
DELETE FROM temp.fs_place;

-- name: places
-- The places of billed rows that are not found yet, for the pass ?1. Only a row for a whole attendance may take more than one.
-- The passes: 'code'; then for rows without a code 'exact' (attendance, service and value), 'service' (attendance and service),
-- 'attendance', and at last 'weak' (service, contract and value).
INSERT INTO temp.fs_place
SELECT key, sum(width) OVER (PARTITION BY key ORDER BY valor / width, id ROWS UNBOUNDED PRECEDING), id
FROM (
    SELECT id, valor, CASE WHEN ?1 IN ('service', 'attendance') AND quantidade > 1 THEN quantidade ELSE 1 END AS width,
           CASE ?1
               WHEN 'code' THEN codigo_rastreio
               WHEN 'exact' THEN CASE WHEN codigo_rastreio IS NULL AND quantidade <= 1 THEN ident || '/' || valor END
               WHEN 'service' THEN CASE WHEN codigo_rastreio IS NULL THEN ident END
               WHEN 'attendance' THEN CASE WHEN codigo_rastreio IS NULL
                   THEN '@' || CAST(sub_caixa AS BIGINT) || '/' || CAST(numero_atendimento AS BIGINT) END
               WHEN 'weak' THEN CASE WHEN codigo_rastreio IS NULL AND quantidade <= 1
                   THEN servico || '/' || coalesce(contrato, '') || '/' || valor END
           END AS key
    FROM temp.fs_over WHERE id NOT IN (SELECT over_id FROM temp.fs_left WHERE over_id IS NOT NULL)) AS keyed
WHERE key IS NOT NULL;

-- name: pair
-- The n-th posting of a key gets the row that has the n-th place; `several` says that more than one site has postings of that key.
UPDATE temp.fs_left SET over_id = found.over_id, how = ?2, several = found.several
FROM (
    SELECT id, several, (SELECT p.over_id FROM temp.fs_place p WHERE p.key = l.key AND p.upto >= l.place ORDER BY p.upto LIMIT 1) AS over_id
    FROM (
        SELECT id, key, row_number() OVER (PARTITION BY key ORDER BY valor, id) AS place,
               CASE WHEN ?2 <> 'code' AND min(site) OVER (PARTITION BY key) <> max(site) OVER (PARTITION BY key) THEN 1 ELSE 0 END AS several
        FROM (
            SELECT id, valor, site,
                   CASE ?1
                       WHEN 'code' THEN codigo_rastreio
                       WHEN 'exact' THEN '@' || CAST(sub_caixa AS BIGINT) || '/' || CAST(numero_atendimento AS BIGINT) || '/' || servico || '/' || valor
                       WHEN 'service' THEN '@' || CAST(sub_caixa AS BIGINT) || '/' || CAST(numero_atendimento AS BIGINT) || '/' || servico
                       WHEN 'attendance' THEN '@' || CAST(sub_caixa AS BIGINT) || '/' || CAST(numero_atendimento AS BIGINT)
                       WHEN 'weak' THEN servico || '/' || coalesce(contrato, '') || '/' || valor
                   END AS key
            FROM temp.fs_left WHERE over_id IS NULL) AS keyed
        WHERE key IN (SELECT key FROM temp.fs_place)) l) found
WHERE fs_left.id = found.id AND found.over_id IS NOT NULL;

-- name: found
-- What differs between a billed row and all postings that were found for it. Each but the last counts with its own value, and the last
-- with the rest: so the lines add up to what is billed.
INSERT INTO temp.fs_found
SELECT ?1, l.codigo_rastreio, l.valor, l.k, l.how,
       substr(CASE WHEN l.together <> o.valor THEN ',value' ELSE '' END
           || CASE WHEN l.number <> o.quantidade THEN ',quantity' ELSE '' END
           || CASE WHEN l.servico <> o.servico THEN ',service' ELSE '' END
           || CASE WHEN l.contrato <> o.contrato THEN ',contract' ELSE '' END
           || CASE WHEN l.several = 1 THEN ',site' ELSE '' END
           || CASE WHEN l.how = 'weak' AND l.sub_caixa IS NOT NULL AND l.numero_atendimento IS NOT NULL THEN ',attendance' ELSE '' END, 2),
       o.sub_caixa || '/' || o.numero_atendimento || '/' || o.sequencia,
       CASE WHEN l.place < l.number THEN 1 ELSE o.quantidade - (l.number - 1) END,
       CASE WHEN l.place < l.number THEN l.valor ELSE o.valor - (l.together - l.valor) END
FROM (
    SELECT *, row_number() OVER (PARTITION BY over_id ORDER BY id) AS place, count(*) OVER (PARTITION BY over_id) AS number,
           sum(valor) OVER (PARTITION BY over_id) AS together
    FROM temp.fs_left WHERE over_id IS NOT NULL) l
CROSS JOIN temp.fs_over o ON o.id = l.over_id;

-- name: keep_unsold
-- Billed, and nobody sold it; or the sale was cancelled.
INSERT INTO temp.fs_alone (kind, state, ident, codigo_rastreio, valor, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia)
SELECT ?1, CASE WHEN codigo_rastreio IN (SELECT codigo_rastreio FROM temp.fs_cancelled) THEN 'cancelled' ELSE 'not-sold' END,
       ident, codigo_rastreio, valor, quantidade, servico, contrato, sub_caixa, numero_atendimento, sequencia
FROM temp.fs_over WHERE id NOT IN (SELECT over_id FROM temp.fs_left WHERE over_id IS NOT NULL)
ORDER BY id;

-- name: write_sold
-- One line for each posting. ?2, ?3: whether the BDF and the C.A. were imported; ?4: services that are not billed. A posting that a file
-- does not hold is not checked against it where there is nothing to bill. The BDF, where there is one, decides what is red.
INSERT INTO fs_reconciled
SELECT ?1,
       CASE WHEN bdf IS NULL AND ca IS NULL THEN 'white'
            WHEN coalesce(bdf, ca) = 'missing' THEN 'red'
            WHEN coalesce(bdf, 'agrees') = 'agrees' AND coalesce(ca, 'agrees') = 'agrees' THEN 'green'
            ELSE 'yellow' END,
       site, row_number() OVER (ORDER BY codigo_rastreio, valor, k), ticket, venda_id, posting, codigo_rastreio, servico, contrato, sub_caixa, numero_atendimento, forma, valor,
       bdf, bdf_how, nullif(bdf_differs, ''), bdf_row, bdf_quantidade, bdf_centavos, ca, ca_how, nullif(ca_differs, ''), ca_row, ca_quantidade, ca_centavos
FROM (
    SELECT *,
           CASE WHEN bdf_differs = '' THEN 'agrees' WHEN bdf_differs IS NOT NULL THEN 'differs' WHEN ?2 = 1 AND billable THEN 'missing' END AS bdf,
           CASE WHEN ca_differs = '' THEN 'agrees' WHEN ca_differs IS NOT NULL THEN 'differs' WHEN ?3 = 1 AND billable THEN 'missing' END AS ca
    FROM (
        SELECT s.*, s.valor > 0 AND s.servico NOT IN (SELECT value FROM json_each(?4)) AS billable,
               CASE WHEN b.valor IS NULL THEN fb.how ELSE 'code' END AS bdf_how,
               CASE WHEN b.valor IS NULL THEN fb.differs
                    WHEN b.quantidade = 1 AND b.servico = s.servico AND coalesce(b.contrato = s.contrato, true) THEN ''
                    ELSE substr(CASE WHEN b.quantidade <> 1 THEN ',quantity' ELSE '' END || CASE WHEN b.servico <> s.servico THEN ',service' ELSE '' END
                        || CASE WHEN b.contrato <> s.contrato THEN ',contract' ELSE '' END, 2) END AS bdf_differs,
               CASE WHEN b.valor IS NULL THEN fb.row ELSE b.sub_caixa || '/' || b.numero_atendimento || '/' || b.sequencia END AS bdf_row,
               coalesce(b.quantidade, fb.quantidade) AS bdf_quantidade, coalesce(b.valor, fb.centavos) AS bdf_centavos,
               CASE WHEN c.valor IS NULL THEN fc.how ELSE 'code' END AS ca_how,
               CASE WHEN c.valor IS NULL THEN fc.differs
                    WHEN c.quantidade = 1 AND c.servico = s.servico AND coalesce(c.contrato = s.contrato, true) THEN ''
                    ELSE substr(CASE WHEN c.quantidade <> 1 THEN ',quantity' ELSE '' END || CASE WHEN c.servico <> s.servico THEN ',service' ELSE '' END
                        || CASE WHEN c.contrato <> s.contrato THEN ',contract' ELSE '' END, 2) END AS ca_differs,
               CASE WHEN c.valor IS NULL THEN fc.row ELSE c.sub_caixa || '/' || c.numero_atendimento || '/' || c.sequencia END AS ca_row,
               coalesce(c.quantidade, fc.quantidade) AS ca_quantidade, coalesce(c.valor, fc.centavos) AS ca_centavos
        FROM temp.fs_sold s
        LEFT JOIN temp.fs_billed b ON b.kind = 'bdf' AND b.ident = s.codigo_rastreio AND b.valor = s.valor AND b.k = s.k
        LEFT JOIN temp.fs_found fb ON fb.kind = 'bdf' AND fb.codigo_rastreio = s.codigo_rastreio AND fb.valor = s.valor AND fb.k = s.k
        LEFT JOIN temp.fs_billed c ON c.kind = 'ca' AND c.ident = s.codigo_rastreio AND c.valor = s.valor AND c.k = s.k
        LEFT JOIN temp.fs_found fc ON fc.kind = 'ca' AND fc.codigo_rastreio = s.codigo_rastreio AND fc.valor = s.valor AND fc.k = s.k) AS compared) AS judged;

-- name: write_alone
-- One line for what is billed and not sold. The n-th row of a code (or attendance and service) in one file and the n-th in the other
-- are one line; a reversal has its own.
INSERT INTO fs_reconciled
SELECT ?1, CASE WHEN coalesce(a.bdf, a.ca) = 'reversed' THEN 'green' ELSE 'red' END,
       coalesce(x.site, ''), (SELECT count(*) FROM temp.fs_sold) + row_number() OVER (ORDER BY a.first_id),
       x.ticket, x.venda_id, x.posting, a.codigo_rastreio, coalesce(a.bdf_servico, a.ca_servico), coalesce(a.bdf_contrato, a.ca_contrato),
       coalesce(a.bdf_sub_caixa, a.ca_sub_caixa), coalesce(a.bdf_numero, a.ca_numero), '', NULL,
       a.bdf, NULL, NULL, a.bdf_row, a.bdf_quantidade, a.bdf_centavos, a.ca, NULL, NULL, a.ca_row, a.ca_quantidade, a.ca_centavos
FROM (
    SELECT min(id) AS first_id, max(codigo_rastreio) AS codigo_rastreio,
           max(CASE kind WHEN 'bdf' THEN state END) AS bdf, max(CASE kind WHEN 'ca' THEN state END) AS ca,
           max(CASE kind WHEN 'bdf' THEN servico END) AS bdf_servico, max(CASE kind WHEN 'ca' THEN servico END) AS ca_servico,
           max(CASE kind WHEN 'bdf' THEN contrato END) AS bdf_contrato, max(CASE kind WHEN 'ca' THEN contrato END) AS ca_contrato,
           max(CASE kind WHEN 'bdf' THEN sub_caixa END) AS bdf_sub_caixa, max(CASE kind WHEN 'ca' THEN sub_caixa END) AS ca_sub_caixa,
           max(CASE kind WHEN 'bdf' THEN numero_atendimento END) AS bdf_numero, max(CASE kind WHEN 'ca' THEN numero_atendimento END) AS ca_numero,
           max(CASE kind WHEN 'bdf' THEN sub_caixa || '/' || numero_atendimento || '/' || sequencia END) AS bdf_row,
           max(CASE kind WHEN 'ca' THEN sub_caixa || '/' || numero_atendimento || '/' || sequencia END) AS ca_row,
           max(CASE kind WHEN 'bdf' THEN quantidade END) AS bdf_quantidade, max(CASE kind WHEN 'ca' THEN quantidade END) AS ca_quantidade,
           max(CASE kind WHEN 'bdf' THEN valor END) AS bdf_centavos, max(CASE kind WHEN 'ca' THEN valor END) AS ca_centavos
    FROM (
        SELECT *, CASE WHEN state IN ('reversed', 'reversal') THEN id ELSE 0 END AS own,
               row_number() OVER (PARTITION BY kind, ident, state IN ('reversed', 'reversal') ORDER BY valor, quantidade, id) AS place
        FROM temp.fs_alone) AS placed
    GROUP BY ident, own, place) a
LEFT JOIN temp.fs_cancelled x ON x.codigo_rastreio = a.codigo_rastreio AND 'cancelled' IN (a.bdf, a.ca);

-- name: make_sum
-- The lines of the day, added up once by everything at the same time; a few hundred rows for a million lines.
CREATE TEMP TABLE fs_sum (
    colour TEXT, site TEXT, servico TEXT, contrato TEXT, forma TEXT, bdf TEXT, bdf_how TEXT, ca TEXT, ca_how TEXT, lines INTEGER, sold INTEGER,
    sold_centavos INTEGER, bdf_quantidade INTEGER, bdf_centavos INTEGER, ca_quantidade INTEGER, ca_centavos INTEGER);

-- name: add_up
-- What has no value counts as nothing.
INSERT INTO temp.fs_sum
SELECT colour, site, servico, contrato, forma, bdf, bdf_how, ca, ca_how, count(*), count(valor_centavos), coalesce(sum(valor_centavos), 0),
       coalesce(sum(bdf_quantidade), 0), coalesce(sum(bdf_centavos), 0), coalesce(sum(ca_quantidade), 0), coalesce(sum(ca_centavos), 0)
FROM fs_reconciled WHERE day = ?1
GROUP BY colour, site, servico, contrato, forma, bdf, bdf_how, ca, ca_how;

-- name: write_totals
-- By one dimension (?2). What has no value of it counts under ''.
INSERT INTO fs_reconciled_total
SELECT ?1, ?2, value, colour, sum(lines), sum(sold), sum(sold_centavos), sum(bdf_quantidade), sum(bdf_centavos), sum(ca_quantidade), sum(ca_centavos)
FROM (
    SELECT *, coalesce(CASE ?2 WHEN 'site' THEN site WHEN 'service' THEN servico WHEN 'contract' THEN contrato WHEN 'form' THEN forma
                               WHEN 'bdf' THEN bdf WHEN 'bdf-how' THEN bdf_how WHEN 'ca' THEN ca WHEN 'ca-how' THEN ca_how END, '') AS value
    FROM temp.fs_sum) AS valued
GROUP BY value, colour;
