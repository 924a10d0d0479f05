-- What a reconciliation found: sales against the billing files of a day. See reconciling.py; what the words mean is in docs/reconciliation.md.

-- The newest reconciliation of each day, and what it saw. Whether it still holds is asked of the ledger, never kept.
CREATE TABLE fs_reconciliation (
    day TEXT PRIMARY KEY,
    made_at TEXT NOT NULL,
    batch_id INTEGER NOT NULL CHECK (batch_id >= 0), -- the newest batch that was applied here when it was made
    sales INTEGER NOT NULL CHECK (sales >= 0), -- documents of the day: fewer of them later means that one moved to another day
    bdf_rows INTEGER CHECK (bdf_rows >= 0), -- null: no file of this kind was imported for the day, so nothing was checked against it
    ca_rows INTEGER CHECK (ca_rows >= 0),
    unbilled TEXT NOT NULL -- services that Correios does not bill, as a JSON array
) STRICT, WITHOUT ROWID;

-- One line for each posting that was sold, and for each billed row that no posting accounts for. Values are kept as they were seen.
CREATE TABLE fs_reconciled (
    day TEXT NOT NULL,
    colour TEXT NOT NULL CHECK (colour IN ('red', 'yellow', 'white', 'green')),
    site TEXT NOT NULL, -- '' where no sale says it
    line INTEGER NOT NULL,
    ticket TEXT, -- caixa/serie/numero
    venda_id TEXT,
    posting INTEGER,
    codigo_rastreio TEXT,
    servico TEXT NOT NULL,
    contrato TEXT,
    sub_caixa TEXT,
    numero_atendimento TEXT,
    forma TEXT NOT NULL, -- '' where no payment is known, 'several' where the sale was paid in several forms
    valor_centavos INTEGER, -- null where nothing was sold
    bdf TEXT CHECK (bdf IN ('agrees', 'differs', 'missing', 'not-sold', 'cancelled', 'reversal', 'reversed')), -- null: not checked
    bdf_how TEXT CHECK (bdf_how IN ('code', 'attendance', 'weak')),
    bdf_differs TEXT,
    bdf_row TEXT, -- sub_caixa/numero_atendimento/sequencia of the billed row
    bdf_quantidade INTEGER,
    bdf_centavos INTEGER,
    ca TEXT CHECK (ca IN ('agrees', 'differs', 'missing', 'not-sold', 'cancelled', 'reversal', 'reversed')),
    ca_how TEXT CHECK (ca_how IN ('code', 'attendance', 'weak')),
    ca_differs TEXT,
    ca_row TEXT,
    ca_quantidade INTEGER,
    ca_centavos INTEGER,
    PRIMARY KEY (day, colour, site, line)
) STRICT, WITHOUT ROWID;

-- The lines added up, by each dimension and colour: a calendar of a year reads only these.
CREATE TABLE fs_reconciled_total (
    day TEXT NOT NULL,
    dimension TEXT NOT NULL CHECK (dimension IN ('all', 'site', 'service', 'contract', 'form', 'bdf', 'ca', 'bdf-how', 'ca-how')),
    value TEXT NOT NULL,
    colour TEXT NOT NULL CHECK (colour IN ('red', 'yellow', 'white', 'green')),
    lines INTEGER NOT NULL CHECK (lines > 0),
    sold INTEGER NOT NULL,
    sold_centavos INTEGER NOT NULL,
    bdf_quantidade INTEGER NOT NULL,
    bdf_centavos INTEGER NOT NULL,
    ca_quantidade INTEGER NOT NULL,
    ca_centavos INTEGER NOT NULL,
    PRIMARY KEY (day, dimension, value, colour)
) STRICT, WITHOUT ROWID;
