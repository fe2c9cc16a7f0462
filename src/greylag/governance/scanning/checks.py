"""What must be true of a match besides its form: check digits, ranges, entropy. Each takes the text of the match."""

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from greylag.governance.scanning.values import REDACTED

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
_FILE_ENDINGS = re.compile(
    r"png|jpe?g|gif|svg|webp|ico|css|[jt]sx?|mjs|py|rb|rs|go|java|kt|cs|php|html?|json|ya?ml|toml|md|txt|sh|lock|map|woff2?"
    r"|ttf|pdf|zip|gz|whl|jar|dll|exe|local|localdomain|internal"
)
_PLACEHOLDERS = re.compile(
    r"(?i)example|changeme|change_me|placeholder|dummy|redacted|your[-_]|xxxx|\*\*\*\*|\.\.\.|^\$|\$\{|^\{|\{\{|^<|^%|^process\."
    r"|^os\.|^env\.|^getenv|^none$|^null$|^true$|^false$|^test"
)
_NINO_NOT = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
_VERHOEFF = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_TURNS = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_FISCAL_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def digits(text: str) -> list[int]:
    """Return the ASCII digits of ``text`` as numbers."""
    return [ord(sign) - 48 for sign in text if "0" <= sign <= "9"]


def _varied(numbers: list[int]) -> bool:
    return len(set(numbers)) > 1


def _weighed(numbers: list[int], weights: tuple[int, ...]) -> int:
    return sum(number * weight for number, weight in zip(numbers, weights, strict=False))


def luhn(text: str) -> bool:
    """ISO/IEC 7812-1 annex B."""
    numbers = digits(text)
    doubled = [sum(divmod(2 * number, 10)) for number in numbers[-2::-2]]
    return _varied(numbers) and (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def card(text: str) -> bool:
    """A payment card's number: 13 to 19 digits, an issuer's first digit, ISO/IEC 7812-1 check digit."""
    numbers = digits(text)
    return 13 <= len(numbers) <= 19 and numbers[0] in (2, 3, 4, 5, 6) and luhn(text)


def iban(text: str) -> bool:
    """ISO 13616: the country's length, and ISO/IEC 7064 MOD 97-10."""
    plain = re.sub(r"[\s-]", "", text).upper()
    if _IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def nhs(text: str) -> bool:
    """NHS Data Dictionary, NHS NUMBER: modulus 11."""
    numbers = digits(text)
    check = 11 - sum(number * weight for number, weight in zip(numbers, range(10, 1, -1), strict=False)) % 11
    return len(numbers) == 10 and _varied(numbers) and check % 11 == numbers[9] and check != 10


def nino(text: str) -> bool:
    """HMRC NIM39110: prefixes that are never given out are no National Insurance numbers."""
    prefix = text[:2].upper()
    return prefix not in _NINO_NOT and prefix[0] not in "DFIQUV" and prefix[1] not in "DFIOQUV"


def ssn(text: str) -> bool:
    """SSA: no area 000, 666 or 9xx, no group 00, no serial 0000; nor the numbers printed in advertisements."""
    plain = "".join(str(number) for number in digits(text))
    area, group, serial = plain[:3], plain[3:5], plain[5:]
    return (
        len(plain) == 9 and area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
        and plain not in ("078051120", "219099999", "123456789") and _varied(digits(plain))
    )  # fmt: skip


def steuer_id(text: str) -> bool:
    """§ 139b AO, BZSt: eleven digits, not beginning with 0, one or two digits doubled, ISO 7064 MOD 11,10."""
    numbers = digits(text)
    if len(numbers) != 11 or numbers[0] == 0:
        return False
    most = max(Counter(numbers[:10]).values())
    return most in (2, 3) and _mod_11_10(numbers)


def _mod_11_10(numbers: list[int]) -> bool:
    product = 10
    for number in numbers[:-1]:
        product = ((number + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == numbers[-1]


def nir(text: str) -> bool:
    """INSEE: the French number of registration, key = 97 - n mod 97, Corsican departments as 19 and 18."""
    plain = re.sub(r"\s", "", text).upper().replace("2A", "19").replace("2B", "18")
    return len(plain) == 15 and plain.isascii() and plain.isdigit() and 97 - int(plain[:13]) % 97 == int(plain[13:])


def dni(text: str) -> bool:
    """Spanish DNI and NIE: the letter is the number modulo 23."""
    plain = re.sub(r"[\s-]", "", text).upper()
    number = {"X": "0", "Y": "1", "Z": "2"}.get(plain[0], plain[0]) + plain[1:-1]
    return number.isascii() and number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def codice_fiscale(text: str) -> bool:
    """D.M. 23/12/1976: the last letter checks the fifteen before."""
    values = [ord(sign) - (48 if sign.isdigit() else 65) for sign in text.upper()]
    total = sum(_FISCAL_ODD[value] if place % 2 == 0 else value for place, value in enumerate(values[:15]))
    return len(values) == 16 and total % 26 == values[15]


def bsn(text: str) -> bool:
    """Dutch citizen service number: the eleven test."""
    numbers = digits(text)
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return len(numbers) == 9 and _varied(numbers) and _weighed(numbers, weights) % 11 == 0


def pesel(text: str) -> bool:
    """Polish PESEL: weights 1-3-7-9, and a month that exists."""
    numbers = digits(text)
    if len(numbers) != 11 or not 1 <= (numbers[2] * 10 + numbers[3]) % 20 <= 12:
        return False
    return _weighed(numbers, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def ahv(text: str) -> bool:
    """Swiss AHVN13: country 756 and the EAN-13 check digit."""
    numbers = digits(text)
    return numbers[:3] == [7, 5, 6] and len(numbers) == 13 and (sum(numbers[::2]) + 3 * sum(numbers[1::2])) % 10 == 0


def resident_id(text: str) -> bool:
    """GB 11643-1999: eighteen signs, ISO/IEC 7064 MOD 11-2, a birth date that can be."""
    numbers = [10 if sign in "xX" else ord(sign) - 48 for sign in text]
    if len(numbers) != 18 or not ("1900" <= text[6:10] <= "2100" and "01" <= text[10:12] <= "12"):
        return False
    return sum(number * pow(2, 17 - place, 11) for place, number in enumerate(numbers)) % 11 == 1


def aadhaar(text: str) -> bool:
    """UIDAI: twelve digits, not beginning with 0 or 1, Verhoeff's check digit."""
    numbers = digits(text)
    check = 0
    for place, number in enumerate(reversed(numbers)):
        check = int(_VERHOEFF[check][int(_VERHOEFF_TURNS[place % 8][number])])
    return len(numbers) == 12 and numbers[0] > 1 and check == 0


def cpf(text: str) -> bool:
    """Brazilian CPF: two check digits, modulus 11."""
    numbers = digits(text)
    if len(numbers) != 11 or not _varied(numbers):
        return False
    for length in (9, 10):
        total = sum(number * (length + 1 - place) for place, number in enumerate(numbers[:length]))
        if total * 10 % 11 % 10 != numbers[length]:
            return False
    return True


def phone(text: str) -> bool:
    """ITU-T E.164: seven to fifteen digits that are not all the same."""
    numbers = digits(text)
    return 7 <= len(numbers) <= 15 and len(set(numbers)) > 2


def email(text: str) -> bool:
    """RFC 5321 lengths, and an ending that is not a file's."""
    local, _, domain = text.rpartition("@")
    ending = domain.rpartition(".")[2].lower()
    sound = not local.startswith(".") and not local.endswith(".") and ".." not in local
    return sound and len(domain) <= 253 and not _FILE_ENDINGS.fullmatch(ending)


def public_address(text: str) -> bool:
    """An address that the Internet routes (IANA special-purpose registries): a private one says nothing of a person."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def birth_date(text: str) -> bool:
    """A day of a month."""
    parts = [int(part) for part in re.findall(r"\d{1,4}", text)]
    return len(parts) == 3 and all(part > 0 for part in parts) and sorted(parts)[0] <= 12 and sorted(parts)[1] <= 31


def entropy(text: str) -> float:
    """Return Shannon's entropy in bits a character."""
    counts = Counter(text)
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values()) if text else 0.0


def secret(text: str) -> bool:
    """Something drawn by chance, or typed as a password: no word from a template, no name of a variable."""
    if text.startswith(REDACTED) or _PLACEHOLDERS.search(text) or entropy(text) < 2.7:
        return False
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9_.]"))
    return kinds >= 2 and not re.fullmatch(r"[A-Za-z_]+(?:[.(][\w.()]*)?", text)


def generated(text: str) -> bool:
    """A secret with a digit in it: what stands unquoted in settings and is no word."""
    return secret(text) and any("0" <= sign <= "9" for sign in text)


def random_text(text: str) -> bool:
    """Something drawn by chance: at least 3 bits a character."""
    return entropy(text) >= 3.0 and not _PLACEHOLDERS.search(text)


CHECKS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            aadhaar, ahv, birth_date, bsn, card, codice_fiscale, cpf, dni, email, generated, iban, luhn, nhs, nino, nir,
            pesel, phone, public_address, random_text, resident_id, secret, ssn, steuer_id,
        )
    }
)  # fmt: skip
