"""The matriz' cadastros of the demo: produtos, clientes, funcionarios and credenciais, as documents for snapshots; the same for the same seed.

Names, CPFs and CNPJs are made up: drawn at random, with right check digits. One CNPJ in four is of the alphanumeric kind (July 2026).
Credentials have the form of Argon2id hashes and are random: no password opens them.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from filesync.contracts.formats import cnpj_check_digits, cpf_check_digits
from filesync.demo import goods

if TYPE_CHECKING:
    from datetime import date

Document = dict[str, Any]

CLIENTS: Final = 60
STAFF: Final = 18

_FIRST_NAMES: Final = (
    "Ana", "Antônio", "Beatriz", "Bruno", "Camila", "Carlos", "Cláudia", "Daniel", "Débora", "Eduardo", "Fernanda", "Francisco",
    "Gabriela", "Gustavo", "Helena", "Isabel", "João", "José", "Juliana", "Larissa", "Leandro", "Lúcia", "Luís", "Marcelo",
    "Márcia", "Maria", "Mateus", "Natália", "Paulo", "Priscila", "Rafael", "Renata", "Ricardo", "Rosângela", "Sérgio", "Sônia",
    "Tatiane", "Thiago", "Vanessa", "Vinícius",
)  # fmt: skip
_SURNAMES: Final = (
    "Almeida", "Alves", "Andrade", "Araújo", "Barbosa", "Batista", "Cardoso", "Carvalho", "Castro", "Conceição", "Costa", "Dias",
    "Ferreira", "Freitas", "Gomes", "Gonçalves", "Lima", "Lopes", "Machado", "Martins", "Melo", "Mendes", "Moraes", "Moreira",
    "Nascimento", "Nunes", "Oliveira", "Pereira", "Pinto", "Ramos", "Ribeiro", "Rocha", "Rodrigues", "Santos", "Silva", "Soares",
    "Souza", "Teixeira", "Vieira",
)  # fmt: skip
_TRADES: Final = (
    "Livraria", "Papelaria", "Ateliê", "Empório", "Comercial", "Distribuidora", "Loja virtual", "Autopeças", "Confecções",
    "Cosméticos", "Brinquedos", "Informática",
)  # fmt: skip
_ALPHANUMERIC: Final = "0123456789ABCDEFGHJKLMNPRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Client:
    """A customer; those with a contract with Correios post by it and pay by invoice."""

    codigo: str
    nome: str
    documento: str  # CPF of a person, CNPJ of a company
    email: str
    cep: str
    contrato: str | None
    cartao_postagem: str | None


@dataclass(frozen=True, slots=True)
class Employee:
    matricula: str
    nome: str
    papel: str


@lru_cache(maxsize=8)
def clients(seed: int) -> tuple[Client, ...]:
    """People and companies in turn; every second company has a contract."""
    rng = random.Random(f"{seed}/clientes")  # noqa: S311 -- a story, not a secret
    return tuple(_client(rng, number) for number in range(1, CLIENTS + 1))


def _client(rng: random.Random, number: int) -> Client:
    company = number % 2 == 0
    contracted = number % 4 == 0
    if company:
        root = "".join(rng.choices(_ALPHANUMERIC, k=8)) if number % 8 == 0 else f"{rng.randrange(10**8):08d}"
        base = root + "0001"
        nome, documento = (
            f"{rng.choice(_TRADES)} {rng.choice(_SURNAMES)} Ltda.",
            base + cnpj_check_digits(base),
        )
    else:
        base = f"{rng.randrange(10**9):09d}"
        nome, documento = _person(rng), base + cpf_check_digits(base)
    return Client(
        codigo=f"C{number:05d}",
        nome=nome,
        documento=documento,
        email=f"cliente{number:05d}@example.com.br",
        cep=f"{rng.randint(1001, 5899):05d}{rng.randrange(900):03d}",
        contrato=f"99125{rng.randrange(10**5):05d}" if contracted else None,
        cartao_postagem=f"00{rng.randrange(10**8):08d}" if contracted else None,
    )


def _person(rng: random.Random) -> str:
    return " ".join([rng.choice(_FIRST_NAMES), *rng.sample(_SURNAMES, 2)])


@lru_cache(maxsize=8)
def staff(seed: int) -> tuple[Employee, ...]:
    rng = random.Random(f"{seed}/funcionarios")  # noqa: S311 -- a story, not a secret
    papeis = ("gerente", "supervisor", *["atendente"] * (STAFF - 2))
    return tuple(Employee(f"{1001 + place}", _person(rng), papel) for place, papel in enumerate(papeis))


def operators(seed: int, site: str) -> tuple[str, ...]:
    """The matrículas of the three attendants who work at `site`."""
    attendants = [employee.matricula for employee in staff(seed) if employee.papel == "atendente"]
    return tuple(random.Random(f"{seed}/{site}/operadores").sample(attendants, 3))  # noqa: S311


def produtos(day: date, *, origem: str = "matriz") -> list[Document]:
    """Goods and services at the prices of `day`'s year. The demo's goods do not depend on the seed."""
    since = day.replace(month=1, day=1).isoformat()
    common = {"origem": origem, "vigencia_inicio": since, "ativo": True}
    wares: list[Document] = [
        common
        | {
            "codigo": good.codigo,
            "descricao": good.descricao,
            "ncm": good.ncm,
            "unidade": good.unidade,
            "preco_centavos": good.preco_centavos,
        }
        | ({} if good.gtin is None else {"gtin": good.gtin})
        for good in goods.GOODS
    ]
    services: list[Document] = [
        common
        | {
            "codigo": service.codigo,
            "descricao": service.descricao,
            "unidade": "SV",
            "preco_centavos": service.base_centavos,
        }
        for service in goods.SERVICES
    ]
    return wares + services


def clientes(seed: int = 1, *, origem: str = "matriz") -> list[Document]:
    """Every client; those with a contract with its posting card."""
    documents: list[Document] = []
    for client in clients(seed):
        document: Document = {
            "origem": origem,
            "codigo": client.codigo,
            "nome": client.nome,
            "documento": client.documento,
            "email": client.email,
            "cep": client.cep,
            "ativo": True,
        }
        if client.contrato is not None:
            document["contratos"] = [{"contrato": client.contrato}]
            document["cartoes"] = [{"cartao_postagem": client.cartao_postagem, "contrato": client.contrato}]
        documents.append(document)
    return documents


def funcionarios(seed: int = 1, *, origem: str = "matriz") -> list[Document]:
    """The whole staff, of all sites."""
    return [
        {
            "origem": origem,
            "matricula": employee.matricula,
            "nome": employee.nome,
            "papel": employee.papel,
            "ativo": True,
        }
        for employee in staff(seed)
    ]


def credenciais(seed: int = 1, *, origem: str = "matriz") -> list[Document]:
    """A credential of everybody on the staff."""
    rng = random.Random(f"{seed}/credenciais")  # noqa: S311 -- a story, not a secret
    return [
        {
            "origem": origem,
            "matricula": employee.matricula,
            "senha_argon2id": f"$argon2id$v=19$m=65536,t=3,p=4${_base64(rng, 16)}${_base64(rng, 32)}",
            "ativo": True,
        }
        for employee in staff(seed)
    ]


def _base64(rng: random.Random, size: int) -> str:
    return base64.b64encode(rng.randbytes(size)).decode("ascii").rstrip("=")
