-- A store of schema version 1, as filesync made it at commit 8ea290c: its schema.sql, word for word, then its data tables. See test_migrating.py.

-- The ledger: which batches were decided and sealed here, and with which answer. It never expires.
-- The data tables stand beside it; they are made from the contracts (tables.py) and their fs_batch names a row of fs_incoming.

-- What this store is: site, role, epoch, schema_version.
CREATE TABLE fs_meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every feed and epoch seen here, with its head: the last number that was decided here, or sealed here where the origin is this site.
CREATE TABLE fs_feed (
    feed_id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    dataset TEXT NOT NULL,
    audience TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),
    manifest_sha256 TEXT,
    batches INTEGER NOT NULL DEFAULT 0 CHECK (batches >= 0), -- counted here, so that an overview never reads history
    UNIQUE (origin, dataset, audience, epoch),
    CHECK ((seq = 0) = (manifest_sha256 IS NULL)) -- a head without its digest could not continue the chain
) STRICT;

-- Batches decided here: applied, applied in part, or rejected. The receipt is sent from here, byte for byte, however often.
CREATE TABLE fs_incoming (
    batch_id INTEGER PRIMARY KEY, -- the fs_batch of every row that it brought; grows in apply order
    feed_id INTEGER NOT NULL REFERENCES fs_feed,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    name TEXT NOT NULL UNIQUE,
    business_date TEXT NOT NULL,
    version INTEGER NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('delta', 'snapshot')),
    manifest_sha256 TEXT NOT NULL,
    payload_sha256 TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('APPLIED', 'PARTIAL', 'REJECTED')),
    receipt TEXT NOT NULL,
    received_at TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0 CHECK (acknowledged IN (0, 1)),
    documents INTEGER NOT NULL CHECK (documents >= 0),
    UNIQUE (feed_id, seq) -- two claims to one number: only the first is ever decided
) STRICT;

-- Receipts that no outbox has had yet.
CREATE INDEX fs_incoming_unacknowledged ON fs_incoming (batch_id) WHERE acknowledged = 0;
-- What was not applied whole, for the overview.
CREATE INDEX fs_incoming_rejected ON fs_incoming (feed_id) WHERE verdict = 'REJECTED';

-- Claims refused without using their number: a fork, a broken chain, a sender who may not.
CREATE TABLE fs_refused (
    manifest_sha256 TEXT PRIMARY KEY, -- a claim is its manifest; the same one again gets the same answer
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    receipt TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0 CHECK (acknowledged IN (0, 1)),
    refused_at TEXT NOT NULL
) STRICT;

-- One name may carry several refused claims.
CREATE INDEX fs_refused_name ON fs_refused (name);
-- Refusals that no outbox has had yet.
CREATE INDEX fs_refused_unacknowledged ON fs_refused (name) WHERE acknowledged = 0 AND receipt IS NOT NULL;

-- Batches sealed here. The manifest is published from here, byte for byte, however often.
CREATE TABLE fs_outgoing (
    batch_id INTEGER PRIMARY KEY,
    feed_id INTEGER NOT NULL REFERENCES fs_feed,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    name TEXT NOT NULL UNIQUE,
    business_date TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('delta', 'snapshot')),
    format TEXT NOT NULL CHECK (format IN ('parquet', 'jsonl')),
    payload_bytes INTEGER NOT NULL CHECK (payload_bytes >= 0),
    payload_sha256 TEXT NOT NULL,
    documents INTEGER NOT NULL CHECK (documents >= 0),
    manifest TEXT NOT NULL,
    manifest_sha256 TEXT NOT NULL,
    replaces TEXT,
    sealed_at TEXT NOT NULL,
    settled_at TEXT, -- the last recipient's answer
    UNIQUE (feed_id, seq) -- a number is issued once
) STRICT;

-- Batches that some recipient has not answered.
CREATE INDEX fs_outgoing_open ON fs_outgoing (feed_id, seq) WHERE settled_at IS NULL;
-- Which batch replaces a rejected one.
CREATE INDEX fs_outgoing_replaces ON fs_outgoing (replaces) WHERE replaces IS NOT NULL;

-- One row for each recipient of a batch sealed here. The first answer stands.
CREATE TABLE fs_delivery (
    batch_id INTEGER NOT NULL REFERENCES fs_outgoing,
    recipient TEXT NOT NULL,
    shipped_at TEXT,
    carried_at TEXT, -- put on a stick; whether the stick arrives is another matter
    verdict TEXT CHECK (verdict IN ('APPLIED', 'PARTIAL', 'REJECTED')),
    receipt TEXT,
    settled_at TEXT,
    PRIMARY KEY (batch_id, recipient), -- a recipient gets a batch once
    CHECK ((verdict IS NULL) = (receipt IS NULL) AND (verdict IS NULL) = (settled_at IS NULL)) -- no answer without its receipt
) STRICT;

-- Deliveries without an answer: what an outbox must still hold.
CREATE INDEX fs_delivery_open ON fs_delivery (batch_id, recipient) WHERE settled_at IS NULL;
-- Deliveries whose rows are owed.
CREATE INDEX fs_delivery_rejected ON fs_delivery (batch_id) WHERE verdict = 'REJECTED';

-- The newest heartbeat of each peer, by installation. A peer's latest installation has the highest number, whatever its clock.
CREATE TABLE fs_peer (
    peer_id INTEGER PRIMARY KEY,
    peer TEXT NOT NULL,
    epoch TEXT NOT NULL,
    counter INTEGER NOT NULL CHECK (counter >= 1), -- an older heartbeat that comes late changes nothing
    heartbeat TEXT NOT NULL,
    received_at TEXT NOT NULL,
    UNIQUE (peer, epoch)
) STRICT;

-- What each peer was told last, so that only news is told.
CREATE TABLE fs_told (
    recipient TEXT PRIMARY KEY,
    counter INTEGER NOT NULL CHECK (counter >= 1),
    news_sha256 TEXT NOT NULL,
    written_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is remembered as sealed, for each dataset and audience; the memory itself is in fs_sealed.
CREATE TABLE fs_memory (
    memory_id INTEGER PRIMARY KEY,
    dataset TEXT NOT NULL,
    audience TEXT NOT NULL,
    UNIQUE (dataset, audience)
) STRICT;

-- Documents sealed here: key digest, content digest and fs_outgoing.batch_id, packed by the first bits of the key digest (memory.py).
CREATE TABLE fs_sealed (
    bucket_id INTEGER PRIMARY KEY, -- memory_id * 65536 + bucket
    entries BLOB NOT NULL CHECK (length(entries) % 40 = 0)
) STRICT;

-- Dropped files that were captured: the same content under the same settings is not read again.
CREATE TABLE fs_captured (
    path TEXT PRIMARY KEY,
    content_sha256 TEXT NOT NULL,
    settings_sha256 TEXT NOT NULL,
    outcome TEXT NOT NULL,
    captured_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The quarantine's audit: what was set aside and why, what was retried, what was discarded with which reason.
CREATE TABLE fs_problem (
    problem_id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    name TEXT NOT NULL,
    peer TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    resolution TEXT
) STRICT;

-- All entries about one thing.
CREATE INDEX fs_problem_name ON fs_problem (name);

-- The data tables of the contracts that were packaged then.
CREATE TABLE "bdf" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "sub_caixa" TEXT NOT NULL, "numero_atendimento" TEXT NOT NULL, "sequencia" INTEGER NOT NULL, "servico" TEXT NOT NULL, "codigo_rastreio" TEXT, "quantidade" INTEGER NOT NULL, "peso_g" INTEGER, "valor_declarado_centavos" INTEGER, "valor_cobrado_centavos" INTEGER NOT NULL, "modalidade" TEXT, "contrato" TEXT, "cartao_postagem" TEXT, "comprovante" TEXT, "mcu_unidade_postagem" TEXT, "servico_adicional" TEXT, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "sub_caixa", "numero_atendimento", "sequencia")) STRICT, WITHOUT ROWID;
CREATE TABLE "ca" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "sub_caixa" TEXT NOT NULL, "numero_atendimento" TEXT NOT NULL, "sequencia" INTEGER NOT NULL, "servico" TEXT NOT NULL, "codigo_rastreio" TEXT, "quantidade" INTEGER NOT NULL, "peso_g" INTEGER, "valor_declarado_centavos" INTEGER, "valor_cobrado_centavos" INTEGER NOT NULL, "modalidade" TEXT, "contrato" TEXT, "cartao_postagem" TEXT, "comprovante" TEXT, "mcu_unidade_postagem" TEXT, "servico_adicional" TEXT, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "sub_caixa", "numero_atendimento", "sequencia")) STRICT, WITHOUT ROWID;
CREATE TABLE "clientes" ("origem" TEXT NOT NULL, "codigo" TEXT NOT NULL, "versao" INTEGER, "nome" TEXT NOT NULL, "documento" TEXT, "email" TEXT, "telefone" TEXT, "cep" TEXT, "ativo" INTEGER NOT NULL CHECK ("ativo" IN (0, 1)), fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "codigo")) STRICT, WITHOUT ROWID;
CREATE TABLE "clientes_contratos" ("origem" TEXT NOT NULL, "codigo" TEXT NOT NULL, "contrato" TEXT NOT NULL, "vigencia_inicio" TEXT, "vigencia_fim" TEXT, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "codigo", "contrato")) STRICT, WITHOUT ROWID;
CREATE TABLE "clientes_cartoes" ("origem" TEXT NOT NULL, "codigo" TEXT NOT NULL, "cartao_postagem" TEXT NOT NULL, "contrato" TEXT NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "codigo", "cartao_postagem")) STRICT, WITHOUT ROWID;
CREATE TABLE "credenciais" ("origem" TEXT NOT NULL, "matricula" TEXT NOT NULL, "versao" INTEGER, "senha_argon2id" TEXT NOT NULL, "trocar_no_proximo_acesso" INTEGER CHECK ("trocar_no_proximo_acesso" IN (0, 1)), "ativo" INTEGER NOT NULL CHECK ("ativo" IN (0, 1)), fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "matricula")) STRICT, WITHOUT ROWID;
CREATE TABLE "fechamento" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "turno" INTEGER NOT NULL, "versao" INTEGER, "fechado_em" TEXT NOT NULL, "operador" TEXT, "sem_movimento" INTEGER NOT NULL CHECK ("sem_movimento" IN (0, 1)), "abertura_centavos" INTEGER NOT NULL, "suprimentos_centavos" INTEGER NOT NULL, "sangrias_centavos" INTEGER NOT NULL, "dinheiro_centavos" INTEGER NOT NULL, "esperado_centavos" INTEGER NOT NULL, "contado_centavos" INTEGER NOT NULL, "diferenca_centavos" INTEGER NOT NULL, "quantidade_vendas" INTEGER NOT NULL, "total_vendas_centavos" INTEGER NOT NULL, "observacao" TEXT, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "turno")) STRICT, WITHOUT ROWID;
CREATE TABLE "fechamento_formas" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "turno" INTEGER NOT NULL, "forma" TEXT NOT NULL, "quantidade" INTEGER NOT NULL, "valor_centavos" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "turno", "forma")) STRICT, WITHOUT ROWID;
CREATE TABLE "fechamento_tickets" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "turno" INTEGER NOT NULL, "caixa" TEXT NOT NULL, "serie" TEXT NOT NULL, "primeiro" INTEGER NOT NULL, "ultimo" INTEGER NOT NULL, "quantidade" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "turno", "caixa", "serie")) STRICT, WITHOUT ROWID;
CREATE TABLE "fechamento_feeds" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "turno" INTEGER NOT NULL, "dataset" TEXT NOT NULL, "audience" TEXT NOT NULL, "epoch" TEXT NOT NULL, "seq_primeiro" INTEGER NOT NULL, "seq_ultimo" INTEGER NOT NULL, "lotes" INTEGER NOT NULL, "documentos" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "turno", "dataset", "audience", "epoch")) STRICT, WITHOUT ROWID;
CREATE TABLE "fechamento_linhas" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "turno" INTEGER NOT NULL, "dataset" TEXT NOT NULL, "audience" TEXT NOT NULL, "epoch" TEXT NOT NULL, "relacao" TEXT NOT NULL, "linhas" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "turno", "dataset", "audience", "epoch", "relacao")) STRICT, WITHOUT ROWID;
CREATE TABLE "fechamento_totais" ("origem" TEXT NOT NULL, "data" TEXT NOT NULL, "turno" INTEGER NOT NULL, "dataset" TEXT NOT NULL, "audience" TEXT NOT NULL, "epoch" TEXT NOT NULL, "total" TEXT NOT NULL, "valor_de" TEXT NOT NULL, "valor" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "data", "turno", "dataset", "audience", "epoch", "total", "valor_de")) STRICT, WITHOUT ROWID;
CREATE TABLE "funcionarios" ("origem" TEXT NOT NULL, "matricula" TEXT NOT NULL, "versao" INTEGER, "nome" TEXT NOT NULL, "papel" TEXT NOT NULL, "ativo" INTEGER NOT NULL CHECK ("ativo" IN (0, 1)), fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "matricula")) STRICT, WITHOUT ROWID;
CREATE TABLE "produtos" ("origem" TEXT NOT NULL, "codigo" TEXT NOT NULL, "versao" INTEGER, "descricao" TEXT NOT NULL, "gtin" TEXT, "ncm" TEXT, "unidade" TEXT NOT NULL, "preco_centavos" INTEGER NOT NULL, "vigencia_inicio" TEXT NOT NULL, "ativo" INTEGER NOT NULL CHECK ("ativo" IN (0, 1)), fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "codigo")) STRICT, WITHOUT ROWID;
CREATE TABLE "vendas" ("origem" TEXT NOT NULL, "venda_id" TEXT NOT NULL, "versao" INTEGER, "caixa" TEXT NOT NULL, "serie" TEXT NOT NULL, "numero" INTEGER NOT NULL, "data_movimento" TEXT NOT NULL, "registrada_em" TEXT NOT NULL, "operador" TEXT, "cliente" TEXT, "situacao" TEXT NOT NULL, "total_itens_centavos" INTEGER NOT NULL, "total_postagens_centavos" INTEGER NOT NULL, "desconto_centavos" INTEGER NOT NULL, "total_centavos" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "venda_id")) STRICT, WITHOUT ROWID;
CREATE TABLE "vendas_itens" ("origem" TEXT NOT NULL, "venda_id" TEXT NOT NULL, "numero" INTEGER NOT NULL, "produto" TEXT NOT NULL, "descricao" TEXT, "gtin" TEXT, "quantidade_milesimos" INTEGER NOT NULL, "valor_unitario_centavos" INTEGER NOT NULL, "desconto_centavos" INTEGER, "total_centavos" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "venda_id", "numero")) STRICT, WITHOUT ROWID;
CREATE TABLE "vendas_pagamentos" ("origem" TEXT NOT NULL, "venda_id" TEXT NOT NULL, "numero" INTEGER NOT NULL, "forma" TEXT NOT NULL, "valor_centavos" INTEGER NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "venda_id", "numero")) STRICT, WITHOUT ROWID;
CREATE TABLE "vendas_postagens" ("origem" TEXT NOT NULL, "venda_id" TEXT NOT NULL, "numero" INTEGER NOT NULL, "codigo_rastreio" TEXT NOT NULL, "servico" TEXT NOT NULL, "peso_g" INTEGER NOT NULL, "cep_destino" TEXT NOT NULL, "valor_declarado_centavos" INTEGER, "valor_centavos" INTEGER NOT NULL, "contrato" TEXT, "cartao_postagem" TEXT, "sub_caixa" TEXT, "numero_atendimento" TEXT, fs_batch INTEGER NOT NULL, PRIMARY KEY ("origem", "venda_id", "numero")) STRICT, WITHOUT ROWID;
