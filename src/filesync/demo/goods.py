"""What the demo's agencies sell: goods of a counter and Correios services. Fixed tables; nothing here is drawn.

- Goods carry GTINs of the restricted range (GS1 General Specifications: prefix 2, for use inside a company), so that no
  made-up product wears the number of a real one. All four lengths occur, and some goods have none.
- Service codes are those of Correios' public price tables; letters and prices are only plausible.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from filesync.contracts.formats import gtin_check_digit


@dataclass(frozen=True, slots=True)
class Good:
    """A product of the counter; `popularity` is its relative chance of being bought."""

    codigo: str
    descricao: str
    ncm: str
    unidade: str
    preco_centavos: int
    gtin: str | None
    popularity: int


@dataclass(frozen=True, slots=True)
class Service:
    """A Correios service; a posting costs the base, plus so much per begun kilogram, more for far places."""

    codigo: str
    descricao: str
    letters: str  # the two letters before the number of its tracking codes
    base_centavos: int
    per_kg_centavos: int
    peso_max_g: int
    by_contract: bool


def _gtin(body: str) -> str:
    return body + gtin_check_digit(body) if body else ""


def _good(
    codigo: str, descricao: str, ncm: str, unidade: str, preco_centavos: int, body: str, popularity: int
) -> Good:
    return Good(codigo, descricao, ncm, unidade, preco_centavos, _gtin(body) or None, popularity)


# code, description, NCM, unit, price, GTIN without its check digit, popularity
GOODS: Final = (
    _good("CX-001", "Caixa de encomenda tipo 1 (18x13,5x9 cm)", "48191000", "UN", 450, "200000000101", 9),
    _good("CX-002", "Caixa de encomenda tipo 2 (27x18x9 cm)", "48191000", "UN", 690, "200000000102", 9),
    _good("CX-003", "Caixa de encomenda tipo 3 (36x28x14 cm)", "48191000", "UN", 1150, "200000000103", 7),
    _good("CX-004", "Caixa de encomenda tipo 4 (54x36x27 cm)", "48191000", "UN", 1890, "200000000104", 3),
    _good("CX-FLEX-1", "Caixa flex para vinho, 1 garrafa", "48191000", "UN", 2250, "200000000110", 1),
    _good(
        "CX-002-25", "Caixa de encomenda tipo 2, fardo com 25", "48191000", "FD", 14990, "1200000000102", 1
    ),
    _good("EV-001", "Envelope plástico de segurança P (20x30 cm)", "39232190", "UN", 220, "200000000201", 12),
    _good("EV-002", "Envelope plástico de segurança M (26x36 cm)", "39232190", "UN", 290, "200000000202", 12),
    _good("EV-003", "Envelope plástico de segurança G (40x50 cm)", "39232190", "UN", 420, "200000000203", 8),
    _good("EV-010", "Envelope kraft ofício 24x34 cm", "48171000", "UN", 120, "200000000210", 10),
    _good("EV-011", "Envelope branco carta 11,4x16,2 cm", "48171000", "UN", 45, "200000000211", 14),
    _good("EV-011-100", "Envelope branco carta, caixa com 100", "48171000", "CX", 3290, "1200000000211", 2),
    _good("SL-001", "Selo postal nacional, primeiro porte", "49070010", "UN", 285, "", 14),
    _good("SL-002", "Selo comemorativo, folha com 12", "49070010", "FL", 3420, "", 2),
    _good("SL-003", "Aerograma nacional", "49070010", "UN", 310, "", 1),
    _good("FT-001", "Fita adesiva transparente 45 mm x 45 m", "39191010", "UN", 890, "2000011", 8),
    _good("FT-002", "Fita adesiva parda 48 mm x 50 m", "39191010", "UN", 990, "2000012", 6),
    _good("FT-003", 'Fita "FRÁGIL" 48 mm x 100 m', "39191010", "UN", 1690, "2000013", 2),
    _good("PB-001", "Plástico bolha, metro (1,30 m de largura)", "39211900", "M", 390, "", 6),
    _good("PK-001", "Papel kraft para embrulho, metro", "48043100", "M", 180, "", 5),
    _good("PS-001", "Papel de seda sortido, 10 folhas", "48026999", "PC", 650, "200000000310", 2),
    _good("ET-001", "Etiqueta adesiva de endereço, cartela com 20", "48211000", "UN", 590, "200000000401", 4),
    _good("ET-002", "Etiqueta térmica 100x150 mm, rolo com 250", "48119090", "RL", 4590, "200000000402", 2),
    _good("BB-001", "Bobina térmica para PDV 80x40 m", "48119090", "RL", 780, "20000000321", 2),
    _good("CN-001", "Caneta esferográfica azul", "96081000", "UN", 250, "20000000501", 8),
    _good("CN-002", "Caneta marcadora permanente preta", "96082000", "UN", 690, "20000000502", 4),
    _good("CD-001", "Caderno universitário 96 folhas", "48202000", "UN", 1790, "200000000511", 3),
    _good("CT-001", "Cartão-postal da cidade", "49090000", "UN", 400, "200000000521", 3),
    _good("CT-002", "Cartão de felicitações com envelope", "49090000", "UN", 990, "200000000522", 3),
    _good("TS-001", "Tesoura escolar sem ponta 13 cm", "82130000", "UN", 1290, "200000000531", 1),
    _good("CL-001", "Cola branca 90 g", "35069190", "UN", 590, "200000000532", 2),
    _good("ES-001", "Estilete largo 18 mm", "82119390", "UN", 850, "200000000533", 1),
    _good("CR-001", "Carregador USB-C 20 W", "85044010", "UN", 5990, "200000000601", 1),
    _good("CB-001", "Cabo USB-C 1 m", "85444200", "UN", 2490, "200000000602", 2),
    _good("CH-001", "Chip pré-pago (linha móvel)", "85235200", "UN", 1000, "200000000611", 3),
    _good("TC-001", "Título de capitalização", "49070090", "UN", 2000, "", 2),
    _good("XE-001", "Cópia preto e branco A4", "49119900", "UN", 50, "", 10),
    _good("XE-002", "Impressão colorida A4", "49119900", "UN", 200, "", 4),
    _good("CP-001", "Consulta e emissão de CPF", "49119900", "UN", 700, "", 3),
)
GOODS_CUMULATIVE: Final = tuple(accumulate(good.popularity for good in GOODS))

SERVICES: Final = (
    Service("04014", "SEDEX à vista", "OY", 2390, 690, 30_000, by_contract=False),
    Service("04510", "PAC à vista", "QP", 1980, 380, 30_000, by_contract=False),
    Service("04790", "SEDEX 10 à vista", "SX", 4650, 1190, 10_000, by_contract=False),
    Service("03220", "SEDEX contrato agência", "TJ", 1690, 520, 30_000, by_contract=True),
    Service("03298", "PAC contrato agência", "QB", 1490, 290, 30_000, by_contract=True),
    Service("04227", "Mini Envios contrato agência", "LB", 890, 0, 300, by_contract=True),
)
SERVICES_AT_THE_COUNTER: Final = tuple(service for service in SERVICES if not service.by_contract)
SERVICES_BY_CONTRACT: Final = tuple(service for service in SERVICES if service.by_contract)


@dataclass(frozen=True, slots=True)
class Region:
    """Where postings go: the first five digits of its CEPs, and how much more the way costs than next door."""

    city: str
    cep_first: int
    cep_last: int
    distance_percent: int
    popularity: int


REGIONS: Final = (
    Region("São Paulo", 1001, 5899, 100, 30),
    Region("Campinas", 13010, 13149, 105, 8),
    Region("Rio de Janeiro", 20010, 23799, 115, 14),
    Region("Vitória", 29010, 29099, 125, 3),
    Region("Belo Horizonte", 30110, 31999, 120, 9),
    Region("Salvador", 40010, 42599, 155, 6),
    Region("Recife", 50010, 52999, 170, 5),
    Region("Fortaleza", 60010, 61599, 180, 4),
    Region("Manaus", 69005, 69099, 230, 2),
    Region("Brasília", 70040, 72799, 135, 6),
    Region("Curitiba", 80010, 82999, 120, 7),
    Region("Porto Alegre", 90010, 91999, 140, 6),
)
REGIONS_CUMULATIVE: Final = tuple(accumulate(region.popularity for region in REGIONS))
