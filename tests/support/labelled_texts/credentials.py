"""Credentials in the public formats of their providers."""

from __future__ import annotations

import base64
import json
import string
import uuid
from collections.abc import Callable, Iterator
from random import Random
from urllib.parse import quote

from .labels import EXAMPLES, Kind, Labelled, Value, labelled_texts, plain
from .random_texts import (
    ALNUM,
    BASE32,
    BASE64,
    HEX,
    LOWER_ALNUM,
    UPPER_ALNUM,
    URL_SAFE,
    body,
    chars,
    prefixed,
)
from .surroundings import (
    BY_FORM,
    BY_NAME,
    IN_SENTENCES,
    IN_TABLES,
    NOT_ENCODED,
    WHOLE_TEXTS,
    by_form,
)


def slack_token(random: Random) -> str:
    """Tokens of bots, users and apps."""
    digits = [chars(random, string.digits, 12) for _ in range(3)]
    return random.choice(
        [
            f"xoxb-{digits[0]}-{digits[1]}-{chars(random, ALNUM, 24)}",
            f"xoxp-{digits[0]}-{digits[1]}-{digits[2]}-{chars(random, HEX, 32)}",
            f"xapp-1-A{chars(random, UPPER_ALNUM, 10)}-{digits[0]}-{chars(random, HEX, 64)}",
        ]
    )


def slack_webhook(random: Random) -> str:
    """An address to which anyone can post."""
    team, channel = chars(random, UPPER_ALNUM, 10), chars(random, UPPER_ALNUM, 10)
    return f"https://hooks.slack.com/services/T{team}/B{channel}/{chars(random, ALNUM, 24)}"


def discord_webhook(random: Random) -> str:
    """An address to which anyone can post."""
    return (
        f"https://discord.com/api/webhooks/{chars(random, string.digits, 19)}/"
        f"{chars(random, URL_SAFE, 68)}"
    )


def discord_token(random: Random) -> str:
    """The id of the bot in base64, a time and a signature."""
    bot = base64.b64encode(chars(random, "123456789", 18).encode()).decode()
    return f"{bot}.{chars(random, URL_SAFE, 6)}.{chars(random, URL_SAFE, 38)}"


def base64_json(fields: dict[str, object]) -> str:
    """JSON in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


def jwt(random: Random) -> str:
    """A signed JSON Web Token."""
    claims = {"sub": chars(random, string.digits, 10), "iat": 1767600000, "name": "Ann"}
    head = base64_json({"alg": "HS256", "typ": "JWT"})
    return f"{head}.{base64_json(claims)}.{chars(random, URL_SAFE, 43)}"


def pem(random: Random) -> Value:
    """A private key in PEM armour; every line of its body is secret."""
    label = random.choice(
        [
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "PRIVATE KEY",
            "OPENSSH PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "DSA PRIVATE KEY",
            "PGP PRIVATE KEY BLOCK",
        ]
    )
    lines = [chars(random, BASE64, 64) for _ in range(random.randint(3, 25))]
    lines.append(chars(random, BASE64, 38) + "==")
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"]), tuple(lines)


def openai_key(random: Random) -> str:
    """Keys of users, projects, service accounts and administrators."""
    mark = base64.b64encode(b"OpenAI").decode()
    prefix, half = random.choice(
        [("sk-", 20), ("sk-proj-", 74), ("sk-svcacct-", 74), ("sk-admin-", 58), ("sk-proj-", 58)]
    )
    alphabet = ALNUM if prefix == "sk-" else URL_SAFE
    # The mark does not depend on what is around it, and no key begins or ends in punctuation.
    return (
        prefix
        + chars(random, ALNUM, 1)
        + chars(random, alphabet, half - 1)
        + mark
        + chars(random, alphabet, half - 1)
        + chars(random, ALNUM, 1)
    )


def telegram_token(random: Random) -> str:
    """The bot's number and a secret that begins with AA."""
    number = chars(random, "123456789", 1) + chars(random, string.digits, random.choice([8, 9]))
    return f"{number}:AA{chars(random, URL_SAFE, 32)}{chars(random, ALNUM, 1)}"


def azure_client_secret(random: Random) -> str:
    """A client secret of Entra ID."""
    start, end = chars(random, ALNUM, 3), chars(random, ALNUM, 4)
    return f"{start}{chars(random, '78', 1)}Q~{chars(random, ALNUM + '_.~-', 30)}{end}"


def sentry_token(random: Random) -> str:
    """Tokens of an organisation and of a user."""
    about = base64.b64encode(
        json.dumps({"iat": 1767600000.5, "url": "https://sentry.io", "org": "acme"}).encode()
    ).decode()
    return random.choice(
        [f"sntrys_{about}_{chars(random, BASE64, 43)}", f"sntryu_{chars(random, HEX, 64)}"]
    )


def google_refresh_token(random: Random) -> str:
    """A refresh token of OAuth 2."""
    return f"1//0{chars(random, string.digits, 1)}{chars(random, URL_SAFE, 99)}A"


def pypi_token(random: Random) -> str:
    """A macaroon for pypi.org."""
    place = base64.b64encode(b"\x02\x01\x08pypi.org").decode().rstrip("=")
    return f"pypi-{place}{chars(random, URL_SAFE, random.choice([40, 150]))}A"


def card_number(random: Random) -> Value:
    """A number of a card network with its check digit; the groups are written in three ways."""
    prefix, length = random.choice(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            ("3528", 16),
        ]
    )
    digits = prefix + chars(random, string.digits, length - len(prefix) - 1)
    digits += luhn_digit(digits)
    groups = [digits[:4], digits[4:8], digits[8:12], digits[12:]]
    if length == 15:
        groups = [digits[:4], digits[4:10], digits[10:]]
    number = random.choice(["", " ", "-"]).join(groups)
    return number, (number,)


def luhn_digit(digits: str) -> str:
    """The check digit after ``digits`` (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if position % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def password(random: Random) -> str:
    """What people and generators choose: words with digits, or letters, digits and signs."""
    word = random.choice(["Sunflower", "tiger", "Galaxy", "monkey", "Winter", "dragon", "Summer"])
    return random.choice(
        [
            word + chars(random, string.digits, 4),
            word + chars(random, string.digits, 2) + random.choice("!#*?"),
            chars(random, ALNUM, 9) + random.choice("!#*?") + chars(random, ALNUM, 3) + "7",
            chars(random, LOWER_ALNUM, 15) + "4",
            "-".join([word.lower(), "copper", chars(random, string.ascii_lowercase, 6)]),
        ]
    )


def url_password(random: Random) -> str:
    """A password as it stands in an address: what is reserved there is percent-encoded."""
    return quote(password(random), safe="!*")


ANTHROPIC = ("sk-ant-api03-", "sk-ant-admin01-", "sk-ant-oat01-")

DATABASES = (
    "postgres://{user}:{password}@db.example.com:5432/prod",
    "postgresql+asyncpg://{user}:{password}@10.0.0.12/prod",
    "mysql://{user}:{password}@db.example.com:3306/shop?ssl=true",
    "mongodb+srv://{user}:{password}@cluster0.ab1cd.mongodb.net/app?retryWrites=true",
    "redis://:{password}@cache.example.com:6379/0",
    "amqps://{user}:{password}@rabbit.example.com/vhost",
    "mssql+pyodbc://{user}:{password}@sql.example.com/erp?driver=ODBC+Driver+18",
    "clickhouse://{user}:{password}@ch.example.com:9440/default",
)


def connection_string(random: Random) -> Value:
    """The address of a database with user and password."""
    secret = url_password(random)
    user = random.choice(["admin", "app_user", "svc-report"])
    return random.choice(DATABASES).format(user=user, password=secret), (secret,)


def sql_server_string(random: Random) -> Value:
    """Key-value connection strings of ADO.NET and ODBC, and those of libpq."""
    secret = password(random)
    text = random.choice(
        [
            f"Server=sql.example.com,1433;Database=erp;User Id=app;Password={secret};Encrypt=true",
            f"Driver={{ODBC Driver 18}};Server=sql.example.com;Uid=app;Pwd={secret};Trusted=no",
            f"host=db.example.com dbname=prod user=app password={secret} sslmode=require",
        ]
    )
    return text, (secret,)


def url_with_password(random: Random) -> Value:
    """An address with user and password."""
    secret = url_password(random)
    host = random.choice(
        ["git.example.com/acme/app.git", "proxy.example.com:3128", "example.com/a"]
    )
    return f"https://{random.choice(['ann', 'deploy'])}:{secret}@{host}", (secret,)


def basic_header(random: Random) -> Value:
    """The header of HTTP basic authentication."""
    secret = base64.b64encode(
        f"svc:{chars(random, ALNUM, random.randint(8, 24))}".encode()
    ).decode()
    return f"{random.choice(['Authorization', 'Proxy-Authorization'])}: Basic {secret}", (secret,)


def bearer_header(random: Random) -> Value:
    """A bearer token without a form of its own."""
    secret = chars(random, URL_SAFE, random.choice([24, 40, 64])) + chars(random, ALNUM, 1)
    name = random.choice(["Authorization", "authorization"])
    return f"{name}: {random.choice(['Bearer', 'Token', 'bearer'])} {secret}", (secret,)


def cookie_header(random: Random) -> Value:
    """A session in a cookie."""
    secret = chars(random, random.choice([HEX, ALNUM]), 32)
    name = random.choice(["sessionid", "JSESSIONID", "connect.sid", "auth_token", "PHPSESSID"])
    return random.choice(
        [f"Cookie: {name}={secret}; theme=dark", f"Set-Cookie: {name}={secret}; Path=/; HttpOnly"]
    ), (secret,)


def azure_storage(random: Random) -> Value:
    """The connection string of a storage account."""
    secret = chars(random, BASE64, 86) + "=="
    return (
        "DefaultEndpointsProtocol=https;AccountName=acme;"
        f"AccountKey={secret};EndpointSuffix=core.windows.net"
    ), (secret,)


def azure_service_bus(random: Random) -> Value:
    """The connection string of a queue."""
    secret = chars(random, BASE64, 43) + "="
    return (
        "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=RootManage;"
        f"SharedAccessKey={secret}"
    ), (secret,)


def azure_sas(random: Random) -> Value:
    """An address that is signed for reading a blob."""
    signature = quote(chars(random, BASE64, 43) + "=", safe="")
    return (
        "https://acme.blob.core.windows.net/reports/q1.csv?sp=r&st=2026-01-01T00:00:00Z"
        f"&se=2026-02-01T00:00:00Z&sv=2024-11-04&sr=b&sig={signature}"
    ), (signature,)


def aws_presigned(random: Random) -> Value:
    """An address that is signed for reading an object."""
    signature, key = chars(random, HEX, 64), "ASIA" + chars(random, BASE32, 16)
    return (
        "https://acme.s3.amazonaws.com/q1.csv?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={key}%2F20260105%2Feu-west-1%2Fs3%2Faws4_request"
        f"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
    ), (signature, key)


def password_with_digit(random: Random) -> str:
    """A password that is not only words."""
    secret = password(random)
    while not any(letter.isdigit() for letter in secret):
        secret = password(random)
    return secret


def spoken_password(random: Random) -> Value:
    """A password that a person writes in a chat."""
    secret = password_with_digit(random)
    return random.choice(
        [
            f"my password is {secret}",
            f"Password: {secret}",
            f"the new password for ann is {secret}",
            f"passphrase = {secret}",
        ]
    ), (secret,)


def command_password(random: Random) -> Value:
    """A password on a command line."""
    secret = (
        password(random).replace("*", "7").replace("?", "8").replace("#", "9").replace("!", "5")
    )
    return random.choice(
        [
            f"mysqldump --user=app --password={secret} shop",
            f"docker login -u app --password {secret} registry.example.com",
            f"PGPASSWORD={secret} psql -h db.example.com",
            f"curl -u app:{secret} https://example.com/v1",
            f"sshpass -p {secret} ssh app@example.com",
        ]
    ), (secret,)


def netrc_password(random: Random) -> Value:
    """A machine with its login, on one line or on three."""
    secret, gap = password(random), random.choice([" ", "\n  "])
    host = random.choice(["machine git.example.com", "machine api.example.com", "default"])
    return f"{host}{gap}login ann{gap}password {secret}", (secret,)


def registry_login(random: Random) -> Value:
    """A user and a password in base64, in the settings of Docker and of npm."""
    login = f"deploy:{chars(random, ALNUM, random.randint(8, 24))}"
    secret = base64.b64encode(login.encode()).decode()
    return random.choice(
        [
            json.dumps({"auths": {"registry.example.com": {"auth": secret}}}),
            f"//registry.example.com/:_auth={secret}",
        ]
    ), (secret,)


def address_key(random: Random) -> Value:
    """An address with a key or a session among its parameters."""
    secret = (
        chars(random, URL_SAFE, random.choice([20, 32, 40])) + chars(random, "23456789", 2) + "x"
    )
    name = random.choice(["key", "auth", "session_id", "sid"])
    return random.choice(
        [
            f"https://maps.example.com/v1/geocode?{name}={secret}&city=Oslo",
            f"https://maps.example.com/v1/geocode?city=Oslo&{name}={secret}",
        ]
    ), (secret,)


def cut_sentence(random: Random) -> Value:
    """A bearer token before the dots of a sentence that breaks off."""
    secret = chars(random, ALNUM, random.choice([32, 48])) + "7"
    return f"calling it with Bearer {secret}... and so on", (secret,)


def password_with_punctuation(random: Random) -> str:
    """A password with a sign that elsewhere ends a value."""
    return (
        password(random).rstrip("!#*?") + chars(random, "&;,|(", 1) + chars(random, ALNUM, 9) + "7"
    )


def spoken_punctuation(random: Random) -> Value:
    """Such a password that a person writes in a chat."""
    secret = password_with_punctuation(random)
    return random.choice([f"the password is {secret}", f"Password: {secret}"]), (secret,)


def password_with_stand_in(random: Random) -> str:
    """A password with a word that elsewhere stands for one."""
    word = random.choice(["Example-Corp", "dummy", "Placeholder", "your-secret", "changeme"])
    return f"{word}-{chars(random, string.digits, 4)}{chars(random, ALNUM, 6)}!"


def key_with_stand_in(random: Random) -> str:
    """A random key around such a word."""
    word = random.choice(["dummy", "-your-key-", "example", "-changeme-"])
    return f"{chars(random, ALNUM, 12)}{word}{chars(random, ALNUM, 16)}7"


def table_of_passwords(random: Random) -> Value:
    """A table with a column of passwords, as CSV, with tabs, aligned, or in Markdown."""
    first, second = password_with_digit(random), password_with_digit(random)
    rows = [("user", "password", "role"), ("ann", first, "admin"), ("bo", second, "guest")]
    form = random.choice(["{},{},{}", "{}\t{}\t{}", "{:9}{:25}{}", "| {} | {} | {} |"])
    return "\n".join(form.format(*row) for row in rows), (first, second)


WITH_A_FORM: dict[str, Callable[[Random], str]] = {
    "aws-access-key": prefixed("AKIA ASIA", BASE32, 16),
    "github": prefixed("ghp_ gho_ ghu_ ghs_ ghr_", ALNUM, 36),
    "github-fine-grained": lambda r: f"github_pat_{chars(r, ALNUM, 22)}_{chars(r, ALNUM, 59)}",
    "gitlab": prefixed("glpat- gldt- glrt-", ALNUM, 20),
    "slack-token": slack_token,
    "discord-token": discord_token,
    "stripe": prefixed("sk_live_ rk_live_ sk_test_ rk_test_", ALNUM, 24, 99),
    "stripe-webhook": prefixed("whsec_", ALNUM, 32),
    "square": prefixed("sq0csp-", URL_SAFE, 43),
    "shopify": prefixed("shpat_ shpss_ shpca_ shppa_", HEX, 32),
    "google-api-key": prefixed("AIza", ALNUM, 35),
    "google-access-token": lambda r: f"ya29.a0{chars(r, URL_SAFE, 160)}A",
    "google-client-secret": lambda r: f"GOCSPX-{chars(r, URL_SAFE, 27)}x",
    "openai": openai_key,
    "anthropic": lambda r: f"{r.choice(ANTHROPIC)}{chars(r, URL_SAFE, 93)}AA",
    "hugging-face": prefixed("hf_", string.ascii_letters, 34),
    "groq": prefixed("gsk_", ALNUM, 52),
    "xai": prefixed("xai-", ALNUM, 80),
    "openrouter": prefixed("sk-or-v1-", HEX, 64),
    "perplexity": prefixed("pplx-", ALNUM, 48),
    "replicate": prefixed("r8_", ALNUM, 37),
    "nvidia": lambda r: f"nvapi-{chars(r, URL_SAFE, 63)}x",
    "deepseek": prefixed("sk-", HEX, 32),
    "langfuse": lambda r: f"sk-lf-{uuid.UUID(int=r.getrandbits(128))}",
    "langsmith": lambda r: (
        f"{r.choice(['lsv2_pt_', 'lsv2_sk_'])}{chars(r, HEX, 32)}_{chars(r, HEX, 10)}"
    ),
    "tavily": prefixed("tvly-dev- tvly-", ALNUM, 32),
    "pinecone": lambda r: f"pcsk_{chars(r, ALNUM, 6)}_{chars(r, ALNUM, 62)}",
    "sendgrid": lambda r: f"SG.{chars(r, URL_SAFE, 22)}.{chars(r, URL_SAFE, 42)}x",
    "mailchimp": lambda r: f"{chars(r, HEX, 32)}-us{r.randint(1, 21)}",
    "mailgun": prefixed("key-", HEX, 32),
    "twilio-api-key": prefixed("SK", HEX, 32),
    "npm": prefixed("npm_", ALNUM, 36),
    "pypi": pypi_token,
    "rubygems": prefixed("rubygems_", HEX, 48),
    "docker-hub": lambda r: f"dckr_pat_{chars(r, URL_SAFE, 26)}x",
    "digitalocean": prefixed("dop_v1_ doo_v1_ dor_v1_", HEX, 64),
    "databricks": prefixed("dapi", HEX, 32),
    "azure-client-secret": azure_client_secret,
    "vault": lambda r: f"{r.choice(['hvs.', 'hvb.'])}CAES{chars(r, URL_SAFE, 86)}x",
    "terraform-cloud": lambda r: f"{chars(r, ALNUM, 14)}.atlasv1.{chars(r, ALNUM, 67)}",
    "grafana": lambda r: f"glsa_{chars(r, ALNUM, 32)}_{chars(r, HEX, 8)}",
    "new-relic": prefixed("NRAK-", UPPER_ALNUM, 27),
    "postman": lambda r: f"PMAK-{chars(r, HEX, 24)}-{chars(r, HEX, 34)}",
    "linear": prefixed("lin_api_", ALNUM, 40),
    "notion": lambda r: f"ntn_{chars(r, string.digits, 11)}{chars(r, ALNUM, 35)}",
    "airtable": lambda r: f"pat{chars(r, ALNUM, 14)}.{chars(r, HEX, 64)}",
    "figma": lambda r: f"figd_{chars(r, URL_SAFE, 39)}x",
    "supabase": prefixed("sbp_", HEX, 40),
    "planetscale": lambda r: f"pscale_{r.choice(['pw', 'tkn'])}_{chars(r, URL_SAFE, 42)}x",
    "doppler": prefixed("dp.pt.", ALNUM, 43),
    "age": prefixed("AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "alibaba": prefixed("LTAI", ALNUM, 20),
    "jwt": jwt,
}

NEVER_ENCODED: dict[str, Callable[[Random], str]] = {
    "telegram": telegram_token,
    "google-refresh-token": google_refresh_token,
    "sentry": sentry_token,
    "atlassian": lambda r: (
        f"ATATT3xFfGF0{chars(r, URL_SAFE, 170)}={chars(r, string.digits + 'ABCDEF', 8)}"
    ),
}

INSIDE_A_TEXT: dict[str, Callable[[Random], Value]] = {
    "slack-webhook": plain(slack_webhook),
    "discord-webhook": plain(discord_webhook),
    "azure-storage": azure_storage,
    "azure-service-bus": azure_service_bus,
    "azure-sas": azure_sas,
    "aws-presigned-url": aws_presigned,
    "connection-string": connection_string,
    "key-value-connection-string": sql_server_string,
    "url-with-password": url_with_password,
    "basic-header": basic_header,
    "bearer-header": bearer_header,
    "session-cookie": cookie_header,
    "registry-login": registry_login,
}

WITHIN_A_SENTENCE: dict[str, Callable[[Random], Value]] = {
    "netrc-password": netrc_password,
    "address-key": address_key,
    "bearer-before-dots": cut_sentence,
}

UNDER_A_NAME: dict[str, tuple[Callable[[Random], str], str]] = {
    "password": (
        password,
        "password DB_PASSWORD passwd user_password pwd adminPassword smtp.password",
    ),
    "password-with-punctuation": (password_with_punctuation, "password DB_PASSWORD user_password"),
    "password-with-stand-in": (password_with_stand_in, "password DB_PASSWORD user_password"),
    "key-with-stand-in": (key_with_stand_in, "api_key client_secret ACCESS_TOKEN signing_secret"),
    "aws-secret-key": (
        body(BASE64, 40),
        "aws_secret_access_key AWS_SECRET_ACCESS_KEY SecretAccessKey secretAccessKey",
    ),
    "aws-session-token": (
        lambda r: f"IQoJb3JpZ2luX2Vj{chars(r, BASE64, 300)}=",
        "aws_session_token AWS_SESSION_TOKEN SessionToken",
    ),
    "named-api-key": (
        body(ALNUM, 32, 40),
        "api_key COHERE_API_KEY MISTRAL_API_KEY apiKey x-api-key X-Api-Key",
    ),
    "named-hex-key": (
        body(HEX, 32, 64),
        "api_key DD_API_KEY AZURE_OPENAI_API_KEY TWILIO_AUTH_TOKEN TOGETHER_API_KEY",
    ),
    "client-secret": (
        body(URL_SAFE, 32, 43),
        "client_secret clientSecret OAUTH_CLIENT_SECRET consumer_secret app_secret",
    ),
    "access-token": (
        body(ALNUM, 24, 48),
        "access_token accessToken refresh_token auth_token HEROKU_API_TOKEN id_token",
    ),
    "signing-secret": (
        body(ALNUM + "$^", 32, 50),
        "SECRET_KEY secret_key JWT_SECRET signing_secret encryption_key private_key",
    ),
}

CHAT = by_form("json", "prose", "twice-escaped JSON", "after an escaped newline")
KINDS = (
    *(Kind(name, plain(build), BY_FORM) for name, build in WITH_A_FORM.items()),
    *(Kind(name, plain(build), NOT_ENCODED) for name, build in NEVER_ENCODED.items()),
    *(Kind(name, make, WHOLE_TEXTS) for name, make in INSIDE_A_TEXT.items()),
    *(Kind(name, make, IN_SENTENCES) for name, make in WITHIN_A_SENTENCE.items()),
    Kind(
        "password-in-table",
        plain(password_with_digit),
        IN_TABLES,
        ("password", "DB_PASSWORD", "Passwort"),
    ),
    Kind("key-in-table", plain(body(ALNUM, 32, 40)), IN_TABLES, ("api_key", "ACCESS_TOKEN")),
    Kind("column-of-passwords", table_of_passwords, by_form("after an escaped newline")),
    Kind("punctuation-in-chat", spoken_punctuation, CHAT),
    Kind("private-key", pem, (*CHAT, *by_form("code"))),
    Kind("password-in-chat", spoken_password, CHAT),
    Kind("password-on-command-line", command_password, (*CHAT, *by_form("log line"))),
    Kind("card-number", card_number, BY_FORM),
    *(
        Kind(name, plain(build), BY_NAME, tuple(names.split()))
        for name, (build, names) in UNDER_A_NAME.items()
    ),
)


def labelled_credentials(seed: int = 0, examples: int = EXAMPLES) -> Iterator[Labelled]:
    """``examples`` texts of every kind of credential."""
    return labelled_texts(KINDS, seed, examples)
