"""What looks like a credential and is none."""

from __future__ import annotations

import base64
import json
import string
import uuid
from collections.abc import Callable, Iterator
from random import Random

from .credentials import luhn_digit
from .labels import EXAMPLES
from .random_texts import ALNUM, BASE64, HEX, LOWER_ALNUM, body, chars


def image(random: Random) -> str:
    """An image in a message."""
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + random.randbytes(900)).decode()
    return json.dumps({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})


def bad_card_number(random: Random) -> str:
    """A number as long as that of a card, with a wrong check digit."""
    digits = chars(random, "45", 1) + chars(random, string.digits, 14)
    return f"order {digits}{(int(luhn_digit(digits)) + random.randint(1, 9)) % 10} is on its way"


def hexes(length: int) -> Callable[[Random], str]:
    """Random hexadecimal digits."""
    return body(HEX, length)


IDS = (
    "call_ toolu_01 chatcmpl- msg_01 req_ run_ thread_ asst_ file- cus_ pi_3 ch_3 evt_1 org- fc_ rs_"
    " resp_ vs_ batch_"
)


def identifier(random: Random) -> str:
    """Ids of calls, messages and objects as providers give them."""
    prefix = random.choice(IDS.split())
    return json.dumps({"id": prefix + chars(random, ALNUM, 24), "type": "function"})


SENTENCES = (
    "Your password is incorrect. Please try again.",
    "The password is required and must have at least 12 characters.",
    "Password: at least 8 characters, one digit",
    "Forgot your password? Use the link in the e-mail to reset the password.",
    "Set the header Authorization: Bearer <token> with your own token.",
    "Send Authorization: Bearer $ACCESS_TOKEN, see the chapter on tokens.",
    'headers = {"Authorization": f"Bearer {api_key}"}',
    'api_key = os.environ["SERVICE_API_KEY"]',
    "password = getpass.getpass()",
    "password = config.get('database', 'password')",
    "def login(user: str, password: str) -> Session:",
    "token = request.headers.get('Authorization')",
    "SECRET_KEY=${SECRET_KEY}",
    "api_key: {{ vault_api_key }}",
    "password: <your password here>",
    '{"password": null, "token": "", "api_key": "***"}',
    '{"password": {"type": "string", "minLength": 8, "description": "The password"}}',
    '{"properties": {"api_key": {"type": "string"}, "secret": {"type": "boolean"}}}',
    '{"password": "********", "user": "ann"}',
    '{"max_tokens": 4096, "prompt_tokens": 12345, "completion_tokens": 1789, "token_count": 14134}',
    '{"token_type": "Bearer", "expires_in": 3600, "scope": "read"}',
    '{"key": "shipping_method", "value": "express"}',
    '{"secretary": "Ann", "author": "Bo", "keyboard": "mechanical", "passport_required": true}',
    '{"primary_key": "order_id", "foreign_key": "customer_id", "sort_key": "created_at"}',
    '{"idempotency_key": "order-1234", "cache_key": "products:v2:page:7"}',
    '{"password_reset": true, "password_strength": "good", "has_password": true}',
    '{"error": "invalid_api_key", "message": "Incorrect API key provided."}',
    "The API key is missing: set OPENAI_API_KEY.",
    "Basic authentication is required for this endpoint.",
    "Basic information about the product: waterproof, 2 kg, blue.",
    "The bearer of this ticket may enter.",
    "postgresql://localhost:5432/app and redis://cache:6379/0 are up",
    "postgres://app:${DB_PASSWORD}@db.example.com/prod",
    "https://app:****@git.example.com/acme/app.git",
    "git clone git@github.com:acme/app.git && cd app",
    "https://www.npmjs.com/package/@types/node and https://example.com:8080/@ann/status/12",
    "see https://example.com/risk-adjusted-portfolio-management-strategies-for-beginners-2026",
    "from sklearn.linear_model import SGDClassifier  # sk-learn",
    "task-oriented-dialogue-systems-with-retrieval-augmented-generation",
    "The desk-lamp and the ask-me-anything-about-shipping-page are new.",
    "arn:aws:iam::123456789012:role/service-role/lambda-basic-execution",
    "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34Gkx\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ2xhaW1l\n-----END CERTIFICATE-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZpbmdlcnByaW50 ann@laptop",
    "Cookie: theme=dark; lang=en",
    "The secret of a good cake is butter. The key is patience.",
    "Tokens: the cat sat on the mat -> ['the', 'cat', 'sat']",
    "Her secret: she never sleeps. His password: nobody knows it.",
    "pass: true, fail: false, passed: 12, passengers: 3",
    "pwd: /home/ann/projects/shop",
    "auth: enabled, author: Ann, authority: local",
    "curl -u ann https://example.com and mysql -p shop",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0",
    "DB_PASSWORD=changeme and API_KEY=your-api-key-here and SECRET=example",
    '{"password": "your_password", "token": "YourApiToken123", "api_key": "dummy-key-1"}',
    "password: ${DB_PASSWORD} or %(password)s or {password} or %PASSWORD%",
    "password: str | None = None, secret: SecretStr|None = None, token: Optional[str] = None",
    "| name | type | meaning |\n| password | string | at least 8 characters |",
    "password    VARCHAR(255)\ntoken       CHAR(64)\ncreated_at  TIMESTAMP",
    "password\trequired\nuser\toptional\ntoken\toptional",
    "password changed    2026-01-05\npassword    2026-01-05 10:11",
    "machine learning needs data; the login page asks for a password of the user",
    "https://example.com/list?key=shipping_method&auth=none&session=evening&sid=",
    "auth: Basic, authentication=disabled, oauth: 2.0, auth=enabled",
    "password = get_password(user)[0] and token = tokens[index]",
    'class="btn btn-primary sk-spinner-double-bounce-large-centered"',
    "next_page_token is opaque; pass it back as page_token.",
)


def sentence(random: Random) -> str:
    """Words about credentials, without one; now and then escaped in JSON."""
    text = random.choice(SENTENCES)
    return random.choice([text, json.dumps({"content": text}), json.dumps(json.dumps([text]))])


NEGATIVES: dict[str, Callable[[Random], str]] = {
    "uuid": lambda r: f"request {uuid.UUID(int=r.getrandbits(128))} took 3 ms",
    "trace id": lambda r: json.dumps({"trace_id": hexes(32)(r), "span_id": hexes(16)(r)}),
    "traceparent": lambda r: f"traceparent: 00-{hexes(32)(r)}-{hexes(16)(r)}-01",
    "git commit": lambda r: f"commit {hexes(40)(r)}\nAuthor: Ann\n\n    Fix typo",
    "short commit": lambda r: f"{hexes(7)(r)} Merge branch 'main' into {hexes(9)(r)}",
    "md5": lambda r: f"{hexes(32)(r)}  report.pdf",
    "sha256": lambda r: f"sha256:{hexes(64)(r)}",
    "checksum field": lambda r: json.dumps({"etag": hexes(32)(r), "checksum": hexes(64)(r)}),
    "integrity": lambda r: f'"integrity": "sha512-{chars(r, BASE64, 86)}=="',
    "image": image,
    "base64 text": lambda r: base64.b64encode(b"The quick brown fox " * r.randint(2, 9)).decode(),
    "order number": lambda r: (
        f"order #W{chars(r, string.digits, 7)}, item {chars(r, string.digits, 10)}"
    ),
    "bad card number": bad_card_number,
    "iban": lambda r: f"IBAN DE{chars(r, string.digits, 20)}",
    "spaced iban": lambda r: (
        f"NL{r.randint(10, 99)} ABNA {r.randint(1000, 9999)} {r.randint(1000, 9999)} 12"
    ),
    "isbn": lambda r: (
        f"ISBN 978-3-{chars(r, string.digits, 2)}-{chars(r, string.digits, 6)}-{r.randint(0, 9)}"
    ),
    "nanoseconds": lambda r: json.dumps({"start_time": 1767600000000000000 + r.getrandbits(58)}),
    "milliseconds": lambda r: f"ts={1767600000000 + r.getrandbits(32)} level=info",
    "decimal": lambda r: json.dumps(
        {"score": r.random(), "embedding": [r.uniform(-1, 1) for _ in range(8)]}
    ),
    "identifier": identifier,
    "user id": lambda r: (
        f"user mia_garcia_{r.randint(1000, 9999)}, payment credit_card_{chars(r, string.digits, 7)}"
    ),
    "account sid": lambda r: f"account AC{hexes(32)(r)}",
    "publishable key": lambda r: f"pk-lf-{uuid.UUID(int=r.getrandbits(128))}",
    "version": lambda r: (
        f"pkg=={r.randint(0, 9)}.{r.randint(0, 99)}.{r.randint(0, 99)}+{hexes(8)(r)}"
    ),
    "path": lambda r: (
        f"/var/lib/{chars(r, LOWER_ALNUM, 24)}/{chars(r, LOWER_ALNUM, 40)}/data.parquet"
    ),
    "url": lambda r: (
        f"https://cdn.example.com/{chars(r, ALNUM, 22)}/{chars(r, ALNUM, 40)}.png?v={hexes(20)(r)}"
    ),
    "mail": lambda r: (
        f"ann.{chars(r, LOWER_ALNUM, 5)}@example.com wrote from 10.0.0.{r.randint(1, 254)}"
    ),
    "phone": lambda r: (
        f"call +1 415 555 01{chars(r, string.digits, 2)} or 030 {chars(r, string.digits, 8)}"
    ),
    "sentence": sentence,
}


def negative_texts(seed: int = 0, examples: int = EXAMPLES) -> Iterator[tuple[str, str]]:
    """``examples`` texts of every kind in :data:`NEGATIVES`, with the name of the kind."""
    for kind, build in NEGATIVES.items():
        random = Random(f"{seed} {kind}")
        for _ in range(examples if kind != "sentence" else 4 * len(SENTENCES)):
            yield kind, build(random)
