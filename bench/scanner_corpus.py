"""Makes the corpus that the scanner is measured against: made-up lines, each with what is in it.

python bench/scanner_corpus.py    # writes bench/corpora/scanner.jsonl, always the same bytes

Nobody in it exists. Check digits are worked out here, not by the code that is measured. Some lines are beyond any rule
on purpose (an address in words, a bare local number): a corpus that a scanner can't fail measures nothing.
"""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

CORPUS = Path(__file__).parent / "corpora" / "scanner.jsonl"
_SEED = 20_240_601
_EACH = 8
_FIRST = (
    "ana", "bo", "carla", "dmitri", "eun", "farid", "greta", "hugo", "ines", "jonas", "keiko", "luca", "mina", "noor",
    "oskar", "pilar", "quinn", "rosa", "sami", "tove",
)  # fmt: skip
_LAST = (
    "almeida", "brandt", "costa", "dvorak", "eriksen", "fontaine", "garcia", "hassan", "ivanova", "jensen", "kowalski",
    "lindqvist", "moreau",
)  # fmt: skip
_HOSTS = (
    "posteo.de", "mailbox.org", "orange.fr", "libero.it", "gmail.com", "outlook.com", "bluewin.ch", "nhs.net",
    "uni-bonn.de", "o2.co.uk",
)  # fmt: skip
_SIGNS = string.ascii_letters + string.digits


_SECRETS = frozenset({
    "private-key", "aws-access-key", "aws-secret-key", "github-token", "gitlab-token", "slack-token", "anthropic-key",
    "openai-key", "cloud-key", "service-token", "jwt", "url-password", "secret-assignment", "secret-setting",
})  # fmt: skip


class Line(TypedDict):
    """One line of the corpus: a text, and the rules that have to find something in it."""

    text: str
    expect: list[str]


class Maker:
    """Draws made-up values. The same seed gives the same corpus."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def digits(self, count: int, first: str = "0123456789") -> str:
        """Return ``count`` digits, the first out of ``first``."""
        return self.pick(first) + "".join(self.random.choices(string.digits, k=count - 1))

    def pick(self, some: Sequence[str]) -> str:
        """Return one of ``some``."""
        return self.random.choice(some)

    def secret(self, count: int, signs: str = _SIGNS) -> str:
        """Return ``count`` signs drawn by chance."""
        return "".join(self.random.choices(signs, k=count))

    def grouped(self, text: str, *sizes: int, by: str = " ") -> str:
        """Return ``text`` cut into groups."""
        parts, at = [], 0
        for size in sizes:
            parts.append(text[at : at + size])
            at += size
        return by.join(part for part in (*parts, text[at:]) if part)

    def checked(self, make: Callable[[], str]) -> str:
        """Return the first drawn value that has a check digit (``make`` returns nothing where there is none)."""
        while not (value := make()):
            pass
        return value

    def email(self) -> str:
        """Return an address."""
        name = self.pick([f"{self.pick(_FIRST)}.{self.pick(_LAST)}", f"{self.pick(_FIRST)}{self.digits(2)}",
                          f"{self.pick(_FIRST)}_{self.pick(_LAST)}+news"])  # fmt: skip
        return f"{name}@{self.pick(_HOSTS)}"

    def luhn(self, head: str) -> str:
        """Return ``head`` with its check digit."""
        total = sum(sum(divmod(int(sign) * (2 - place % 2), 10)) for place, sign in enumerate(reversed(head)))
        return head + str(-total % 10)

    def iban(self) -> str:
        """Return an account number of one of four countries."""
        code, body = self.pick(["DE", "FR", "NL", "GB"]), ""
        body = {"DE": self.digits(18), "FR": self.digits(23), "NL": "INGB" + self.digits(10),
                "GB": "BARC" + self.digits(14)}[code]  # fmt: skip
        number = int("".join(str(int(sign, 36)) for sign in f"{body}{code}00"))
        return f"{code}{98 - number % 97:02d}{body}"

    def nhs(self) -> str:
        """Return ten digits, modulus 11."""
        head = self.digits(9, "4679")
        check = 11 - sum(int(sign) * (10 - place) for place, sign in enumerate(head)) % 11
        return "" if check == 10 else head + str(check % 11)

    def steuer_id(self) -> str:
        """Return eleven digits with one of the first ten doubled, MOD 11,10."""
        ten = self.random.sample(string.digits, 9)
        ten.append(self.pick(ten))
        if ten[0] == "0":
            return ""
        product = 10
        for sign in ten:
            product = ((int(sign) + product) % 10 or 10) * 2 % 11
        return "".join(ten) + str((11 - product) % 10)

    def nir(self) -> str:
        """Return a French number with its key."""
        born = f"{self.digits(2)}{self.random.randint(1, 12):02d}"
        body = f"{self.pick('12')}{born}{self.digits(2, '1234567')}{self.digits(6)}"
        return f"{body}{97 - int(body) % 97:02d}"

    def weighed(self, length: int, weights: list[int], modulus: int) -> str:
        """Return digits whose weighed sum is a multiple of ``modulus``."""
        text = self.digits(length, "123456789")
        return (
            text if sum(int(sign) * weight for sign, weight in zip(text, weights, strict=True)) % modulus == 0 else ""
        )

    def cpf(self) -> str:
        """Return a Brazilian number with both check digits."""
        text = self.digits(9)
        for _ in range(2):
            total = sum(int(sign) * (len(text) + 1 - place) for place, sign in enumerate(text))
            text += str(total * 10 % 11 % 10)
        return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"

    def resident(self) -> str:
        """Return a Chinese number with its check sign."""
        born = f"19{self.random.randint(50, 99)}{self.random.randint(10, 12)}{self.random.randint(10, 28)}"
        body = f"{self.digits(6, '1234')}{born}{self.digits(3)}"
        total = sum(int(sign) * (2 ** (17 - place) % 11) for place, sign in enumerate(body))
        return body + "10X98765432"[total % 11]

    def fiscale(self) -> str:
        """Return an Italian code with its check letter."""
        letters = string.ascii_uppercase
        text = f"{self.secret(6, 'BCDFGLMNPRST')}{self.digits(2)}{self.pick('ABCDEHLMPRST')}{self.digits(2, '0123')}"
        text += f"{self.pick('ABCDEFGHIL')}{self.digits(3)}"
        odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
        total = 0
        for place, sign in enumerate(text):
            letter = letters[int(sign)] if sign.isdigit() else sign
            total += letters.index(letter) if place % 2 else odd[letters.index(letter)]
        return text + letters[total % 26]

    def pesel(self) -> str:
        """Return a Polish number, weights 1-3-7-9."""
        text = f"{self.digits(2)}{self.random.randint(1, 12):02d}{self.random.randint(10, 28)}{self.digits(4)}"
        return text + str(-sum(int(sign) * (1, 3, 7, 9)[place % 4] for place, sign in enumerate(text)) % 10)

    def aadhaar(self) -> str:
        """Return twelve digits with Verhoeff's check digit, worked out in the dihedral group of ten."""

        def product(left: int, right: int) -> int:
            if left < 5:
                return (left + right) % 5 if right < 5 else (left + right) % 5 + 5
            return (left - right) % 5 + 5 if right < 5 else (left - right) % 5

        text, check, turn = self.digits(11, "23456789"), 0, [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
        for place, sign in enumerate(reversed(text), start=1):
            number = int(sign)
            for _ in range(place % 8):
                number = turn[number]
            check = product(check, number)
        return text + str(next(number for number in range(10) if product(number, check) == 0))

    def token(self, *parts: str) -> str:
        """Return a JSON web token's form."""
        return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


def positives(draw: Maker) -> Iterator[tuple[str, str]]:
    """Yield (rule, text) for one round of everything that is to be found."""
    mail, pick = draw.email(), draw.pick
    yield "email", pick([
        f"please write to {mail}, thanks", f'{{"user": {{"mail": "{mail}"}}}}', f"Signed-off-by: B <{mail}>",
        f"GET /u?e={mail.replace('@', '%40')} 200", f"id,mail\n7,{mail}", mail.replace("@", " at "),
    ])  # fmt: skip
    number = pick([
        f"+49 {draw.digits(3, '1')} {draw.digits(7)}", f"+44 20 {draw.digits(4)} {draw.digits(4)}",
        f"+33{draw.digits(9, '1267')}", f"0041 {draw.digits(2, '7')} {draw.digits(3)} {draw.digits(4)}",
    ])  # fmt: skip
    yield (
        "phone-international",
        pick([f"you can reach me on {number}", f'"contact": "{number}"', f"tel:{number.replace(' ', '')}"]),
    )
    local = pick(
        [f"0{draw.digits(3, '1378')} {draw.digits(7)}", f"(0{draw.digits(2, '34')}) {draw.digits(4)}-{draw.digits(4)}"]
    )
    yield "phone-named", pick([f"Handy: {local}", f"mobile {local}", f"name;phone\nx;{local}", f"my number is {local}"])
    parts = [str(draw.random.randint(1, 250)) for _ in range(3)]
    address = ".".join([pick(["81", "91", "178", "62"]), *parts])
    yield (
        "ipv4-public",
        pick([f'{address} - - [10/Oct/2024] "GET /" 200', f"blocked login from {address}", f"client_ip: {address}"]),
    )
    yield "ipv6-public", f"peer 2a0{draw.digits(1)}:{draw.digits(4, '1')}::{draw.digits(3, '1')} connected"
    first, last = pick(_FIRST).title(), pick(_LAST).title()
    yield "name-field", pick([
        f'"first_name": "{first}", "x": 1', f"Vorname: {first}", f"patient = '{first} {last}'",
        f"full name: {first} {last}\n", f"{first} {last} called again",
    ])  # fmt: skip
    day = f"{draw.random.randint(1940, 2005)}-{draw.random.randint(1, 12):02d}-{draw.random.randint(1, 28):02d}"
    yield (
        "birth-date",
        pick([f"date_of_birth: {day}", f"geb. {'.'.join(reversed(day.split('-')))}", f"name,dob\nx,{day}"]),
    )
    yield from _states(draw)
    yield from _health(draw)
    yield from _money(draw)
    yield from _secrets(draw)


def _states(draw: Maker) -> Iterator[tuple[str, str]]:
    pick = draw.pick
    nino = f"{pick('ABCEHJ')}{pick('ABCEHJ')}{draw.digits(6)}{pick('ABCD')}"
    yield "uk-nino", pick([f"NI number {nino}", f"nino={draw.grouped(nino, 2, 2, 2, 2)}", f'"{nino}"'])
    ssn = f"{draw.random.randint(100, 665)}{draw.random.randint(10, 99)}{draw.random.randint(1000, 9999)}"
    yield "us-ssn", pick([f"SSN {draw.grouped(ssn, 3, 2, by='-')}", f"emp,{draw.grouped(ssn, 3, 2, by='-')},ok"])
    yield "us-ssn-named", pick([f"ssn: {ssn}", f"name,ssn\nx,{ssn}", f'{{"social_security_number": "{ssn}"}}'])
    tax = draw.checked(draw.steuer_id)
    yield "de-steuer-id", pick([f"Steuer-ID {draw.grouped(tax, 2, 3, 3)}", f"IdNr. {tax}", f"name;steuer_id\nx;{tax}"])
    nir = draw.nir()
    yield "fr-nir", pick([f"n° de sécu {draw.grouped(nir, 1, 2, 2, 2, 3, 3)}", f"nir={nir}"])
    number = draw.digits(8)
    yield "es-dni", f"DNI: {number}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(number) % 23]}"
    yield "nl-bsn", f"bsn {draw.checked(lambda: draw.weighed(9, [9, 8, 7, 6, 5, 4, 3, 2, -1], 11))}"
    yield "ch-ahv", draw.grouped(draw.checked(lambda: _ean(draw)), 3, 4, 4, by=".")
    sin = draw.luhn(draw.digits(8, "1234567"))
    yield "ca-sin", pick([f"SIN {draw.grouped(sin, 3, 3)}", f"numéro d'assurance sociale: {sin}"])
    yield "cn-resident-id", f"身份证号 {draw.resident()}"
    yield "br-cpf", f"CPF {draw.cpf()}"
    yield "it-codice-fiscale", f"C.F. {draw.fiscale()}"
    yield "pl-pesel", f"PESEL {draw.pesel()}"
    aadhaar = draw.aadhaar()
    yield "in-aadhaar", pick([f"Aadhaar {draw.grouped(aadhaar, 4, 4)}", f"aadhaar_no: {aadhaar}"])
    yield (
        "in-pan",
        f"PAN no {draw.secret(3, string.ascii_uppercase)}P{draw.secret(1, string.ascii_uppercase)}{draw.digits(4)}K",
    )
    yield "passport-named", f"passport number: {pick('CFGHJK')}{draw.digits(2)}X{draw.digits(2)}T{draw.digits(2)}"


def _ean(draw: Maker) -> str:
    text = "756" + draw.digits(9)
    return text + str(-sum(int(sign) * (3 if place % 2 else 1) for place, sign in enumerate(text)) % 10)


def _health(draw: Maker) -> Iterator[tuple[str, str]]:
    nhs, pick = draw.checked(draw.nhs), draw.pick
    yield "uk-nhs-number", pick([f"NHS no {draw.grouped(nhs, 3, 3)}", f"referred {draw.grouped(nhs, 3, 3)} to clinic"])
    yield "uk-nhs-number-named", pick([f"nhs_number={nhs}", f"id,nhs number\n1,{nhs}", f'{{"nhsNumber": "{nhs}"}}'])
    letters = "ACDEFGHJKMNPQRTUVWXY"
    body = f"{pick('123456789')}{pick(letters)}{pick(letters)}{draw.digits(1)}"
    yield (
        "us-medicare-id",
        f"MBI {body}-{pick(letters)}{pick(letters)}{draw.digits(1)}-{draw.secret(2, letters)}{draw.digits(2)}",
    )
    month = pick(["01", "12", "51", "62"])
    born = f"{draw.digits(2)}{month} {draw.random.randint(10, 28)}{draw.digits(2)}"
    yield "qc-ramq", f"carte soleil {draw.secret(4, string.ascii_uppercase)} {born}"
    yield "medical-record-named", pick([f"MRN {draw.digits(8)}", f"patient_id: H-{draw.digits(7)}"])
    yield "diagnosis-named", f"diagnosis {pick('EFIJ')}{draw.digits(2)}.{draw.digits(1)} confirmed"


def _money(draw: Maker) -> Iterator[tuple[str, str]]:
    iban, pick = draw.iban(), draw.pick
    yield (
        "iban",
        pick(
            [
                f"IBAN {draw.grouped(iban, 4, 4, 4, 4, 4, 4)}",
                f"pay to {iban}",
                f'"iban": "{iban.lower()}"',
                f"x;{iban};y",
            ]
        ),
    )
    card = draw.luhn(pick(["4", "51", "22", "60"]) + draw.digits(14))[:16]
    card = draw.luhn(card[:15])
    yield (
        "payment-card",
        pick(
            [f"card {draw.grouped(card, 4, 4, 4)}", f"pan={card}", f'"number": "{draw.grouped(card, 4, 4, 4, by="-")}"']
        ),
    )
    yield "amex-card", f"amex {draw.luhn('37' + draw.digits(12))}"
    yield (
        "uk-sort-code-account",
        f"sort code {draw.digits(2)}-{draw.digits(2)}-{draw.digits(2)} account {draw.digits(8)}",
    )
    yield "us-account-named", f"account number: {draw.digits(10)}"
    rows = "".join(f"2024-03-{day:02d},{draw.digits(8)},{draw.digits(2)}.{draw.digits(2)},EUR\n" for day in range(1, 5))
    record = {"date": "2024-03-01", "payee": "x", "amount": float(draw.digits(3, "12")), "currency": "EUR"}
    yield "transactions", pick([
        f"date,account,amount,currency\n{rows}", f"Booking Date,IBAN,Amount,Ccy\n{rows}", json.dumps([record]),
    ])  # fmt: skip
    yield "swift-statement", f":61:240{draw.digits(3, '3')}{draw.digits(4, '0')}D{draw.digits(3, '1')},50NTRFNONREF"
    yield "camt-entry", f'<Ntry><Amt Ccy="CHF">{draw.digits(4, "1")}.{draw.digits(2)}</Amt></Ntry>'
    yield (
        "journal-posting",
        f"2024-03-0{draw.digits(1, '1')} * Groceries\n    Expenses:Food   {draw.digits(2)}.{draw.digits(2)} EUR\n",
    )


def _secrets(draw: Maker) -> Iterator[tuple[str, str]]:
    pick, secret = draw.pick, draw.secret
    yield (
        "private-key",
        f"-----BEGIN {pick(['', 'RSA ', 'EC ', 'OPENSSH '])}PRIVATE KEY-----\n{secret(64)}\n{secret(40)}",
    )
    yield "aws-access-key", f"aws_access_key_id={pick(['AKIA', 'ASIA'])}{secret(16, string.ascii_uppercase + '234567')}"
    yield "aws-secret-key", f"aws_secret_access_key = {secret(40, _SIGNS + '/+')}"
    yield (
        "github-token",
        pick([f"https://ghp_{secret(36)}@github.com/x/y", f"GH_PAT: github_pat_{secret(22)}_{secret(59)}"]),
    )
    yield "gitlab-token", f"--header 'PRIVATE-TOKEN: glpat-{secret(20)}'"
    yield "slack-token", f"xoxb-{draw.digits(11)}-{draw.digits(12)}-{secret(24)}"
    yield "anthropic-key", f"export ANTHROPIC_API_KEY=sk-ant-api03-{secret(90)}-AA"
    yield "openai-key", f"client = OpenAI(api_key='sk-proj-{secret(48)}')"
    yield "cloud-key", pick([f"key=AIza{secret(35)}", f"AccountKey={secret(86)}==;EndpointSuffix=core.windows.net"])
    yield (
        "service-token",
        pick(
            [
                f"sk_live_{secret(24)}",
                f"//registry.npmjs.org/:_authToken=npm_{secret(36)}",
                f"SG.{secret(22)}.{secret(43)}",
            ]
        ),
    )
    parts = draw.token('{"alg":"HS256"}', '{"sub":"' + draw.digits(9) + '"}')
    yield "jwt", f"Authorization: Bearer {parts}.{secret(43)}"
    yield "url-password", f"amqp://svc:{secret(14)}@mq.internal:5672/"
    yield (
        "secret-assignment",
        pick(
            [
                f'password = "{secret(12)}!7"',
                f"'api_key': '{secret(32, 'abcdef0123456789')}'",
                f'token := "{secret(20)}"',
            ]
        ),
    )
    yield "secret-setting", pick([f"DB_PASSWORD={secret(14)}", f"secret: {secret(24)}", f"p={secret(12)}"])


def negatives(draw: Maker) -> Iterator[str]:
    """Yield one round of lines in which there is nothing, many of which look as if."""
    hexes = "0123456789abcdef"
    yield f"commit {draw.secret(40, hexes)}"
    yield f'version = "{draw.digits(1)}.{draw.digits(2)}.{draw.digits(1)}.{draw.digits(1)}"'
    yield f"sha256:{draw.secret(64, hexes)}"
    parts = [draw.secret(8, hexes), *(draw.secret(4, hexes) for _ in range(3)), draw.secret(12, hexes)]
    yield f"id = '{'-'.join(parts)}'"
    clock = f"12:{draw.digits(2, '012345')}:01.{draw.digits(6)}"
    yield f"[2024-0{draw.digits(1, '123456789')}-1{draw.digits(1)} {clock}] INFO done in {draw.digits(4)} ms"
    yield f"order {draw.digits(10, '123')} shipped, parcel {draw.digits(12, '123')}"
    yield f'"integrity": "sha512-{draw.secret(86, _SIGNS + "+/")}=="'
    yield f"git clone git@github.com:team/{draw.pick(_FIRST)}.git"
    yield f"npm i @types/node@{draw.digits(2, '12')}.{draw.digits(1)}.{draw.digits(1)} left-pad@1.3.0"
    yield f"@app.get('/users/{{user_id}}')  # noqa: E{draw.digits(3, '57')}"
    yield f"assert total == {draw.digits(5, '123')}.{draw.digits(2)}"
    yield f"coordinates: {draw.digits(2, '45')}.{draw.digits(6)}, {draw.digits(1)}.{draw.digits(6)}"
    yield f"ISBN 978-{draw.digits(1)}-{draw.digits(3)}-{draw.digits(5)}-{draw.digits(1)}"
    yield f"timestamp_ms={draw.digits(13, '1')}"
    yield f"--color: #{draw.secret(6, hexes)}; margin: {draw.digits(1)}px {draw.digits(2)}px"
    yield f"listen 10.{draw.digits(2, '12')}.{draw.digits(1)}.{draw.digits(1)}:8080;"
    yield f"password = get_password('{draw.pick(_FIRST)}')"
    yield "token: ${CI_TOKEN}"
    yield f"def transfer(amount: Decimal, currency: str, account_id: int = {draw.digits(3, '1')}) -> None:"
    yield f"name,version,date\n{draw.pick(_FIRST)},1.{draw.digits(2)},2024-01-0{draw.digits(1, '123456789')}"
    yield "index on users (last_name, first_name)"
    yield f"image: registry/app@sha256:{draw.secret(64, hexes)}"
    yield f"error code 0x{draw.secret(8, hexes)} at line {draw.digits(4, '1')}"
    yield f"matrix[{draw.digits(3, '1')}] = {draw.digits(3)} {draw.digits(3)} {draw.digits(4)}"
    yield f"retry after {draw.digits(3, '1')}-{draw.digits(2)}-{draw.digits(3)} attempts"
    yield f"<img src='icon@2x.png' width='{draw.digits(3, '1')}'>"
    yield f"phone support is open {draw.digits(1, '89')} to 17, see section {draw.digits(1)}.{draw.digits(1)}"
    yield f"part no. {draw.secret(2, string.ascii_uppercase)}{draw.digits(6)} rev {draw.pick('EFGH')}"
    yield f"const secret = process.env.SECRET_{draw.digits(2)};"
    yield f"see RFC {draw.digits(4, '1234')} section {'.'.join(draw.digits(4))}"
    yield f"x = ({draw.digits(8)}, {draw.digits(9)}, {draw.digits(11, '1')})"
    yield f"flags = 0b{draw.secret(24, '01')}"


def corpus() -> list[Line]:
    """Return every line: ``text`` and ``expect``, the rules that find something in it."""
    draw = Maker(_SEED)
    lines: list[Line] = []
    for _ in range(_EACH):
        lines += [{"text": text, "expect": [rule]} for rule, text in positives(draw)]
    for _ in range(2 * _EACH):
        lines += [{"text": text, "expect": []} for text in negatives(draw)]
    return lines


def main() -> None:
    """Write the corpus."""
    CORPUS.parent.mkdir(exist_ok=True)
    CORPUS.write_text("".join(f"{_line(line)}\n" for line in corpus()), encoding="utf-8")


def _line(line: Line) -> str:
    """Return a line of JSON, all escapes where it holds what looks like a secret: other scanners read this file too."""
    written = json.dumps(line["text"], ensure_ascii=False)
    if any(rule in _SECRETS for rule in line["expect"]):
        written = '"' + "".join(f"\\u{ord(sign):04x}" for sign in line["text"]) + '"'
    return f'{{"text": {written}, "expect": {json.dumps(line["expect"])}}}'


if __name__ == "__main__":
    main()
