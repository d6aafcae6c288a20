"""Where values stand: JSON, YAML, headers, addresses, prose, code, logs."""

from __future__ import annotations

import json
from urllib.parse import quote

from .labels import Surrounding


def nested_json(name: str, value: str) -> str:
    """JSON in JSON in JSON, as arguments of tools are often recorded."""
    inner = json.dumps({"city": "Oslo", name: value, "retries": 3})
    return json.dumps({"id": 7, "arguments": json.dumps({"input": inner})})


BY_FORM = (
    Surrounding(
        "json",
        lambda _, value: json.dumps({"tool": "setup", "result": {"item": value, "ok": True}}),
        ('"item": ', '"ok": true'),
    ),
    Surrounding(
        "yaml",
        lambda _, value: f"service:\n  item: {value}\n  region: eu-west\n",
        ("  item: ", "region: eu-west"),
    ),
    Surrounding(
        "env file", lambda _, value: f"MODE=fast\nITEM={value}\nPORT=80\n", ("MODE=fast", "PORT=80")
    ),
    Surrounding(
        "header",
        lambda _, value: f"GET /v1/items HTTP/1.1\r\nX-Item: {value}\r\nAccept: */*\r\n",
        ("X-Item: ", "Accept: */*"),
    ),
    Surrounding(
        "url",
        lambda _, value: (
            f"https://api.example.com/v1/items?limit=5&k={quote(value, safe='')}&page=2"
        ),
        ("https://api.example.com/v1/items?limit=5&k=", "&page=2"),
        is_encoded=True,
    ),
    Surrounding(
        "prose",
        lambda _, value: f"Use {value} for the staging account, and tell me when it works.",
        ("for the staging account",),
    ),
    Surrounding(
        "end of sentence",
        lambda _, value: f"The one from the vault is {value}. Nobody has used it yet.",
        ("The one from the vault is ", "Nobody has used it yet."),
    ),
    Surrounding(
        "code",
        lambda _, value: f'client = Client("{value}", timeout=30)\nprint(client.name)',
        ('client = Client("', '", timeout=30)'),
    ),
    Surrounding(
        "log line",
        lambda _, value: f"2026-01-05T10:00:00Z ERROR refused with={value} status=401 retry=no",
        ("2026-01-05T10:00:00Z ERROR refused", "status=401 retry=no"),
    ),
    Surrounding(
        "twice-escaped JSON", lambda _, value: nested_json("item", value), ("Oslo", "retries")
    ),
    Surrounding(
        "after an escaped newline",
        lambda _, value: json.dumps({"output": f"Found:\n{value}\nin 3 files"}),
        ("Found:", "in 3 files"),
    ),
    Surrounding(
        "shell",
        lambda _, value: f"curl -s -H 'X-Item: {value}' https://api.example.com/v1 | jq .name",
        ("curl -s -H 'X-Item: ", "| jq .name"),
    ),
    Surrounding(
        "markup", lambda _, value: f"<item>{value}</item><n>3</n>", ("<item>", "</item><n>3")
    ),
    Surrounding("backticks", lambda _, value: f"I set it to `{value}` as asked.", ("as asked.",)),
)

BY_NAME = (
    Surrounding(
        "json",
        lambda name, value: json.dumps({"user": "ann", name: value, "port": 80}),
        ('"user": "ann"', '"port": 80'),
    ),
    Surrounding(
        "yaml",
        lambda name, value: f"service:\n  {name}: {value}\n  region: eu-west\n",
        ("service:", "region: eu-west"),
    ),
    Surrounding(
        "quoted yaml",
        lambda name, value: f"service:\n  {name}: '{value}'\n  region: eu-west\n",
        ("service:", "region: eu-west"),
    ),
    Surrounding(
        "env file",
        lambda name, value: f"MODE=fast\n{name}={value}\nPORT=80\n",
        ("MODE=fast", "PORT=80"),
    ),
    Surrounding(
        "export",
        lambda name, value: f'export {name}="{value}" && make deploy',
        ("export ", "&& make deploy"),
    ),
    Surrounding(
        "url",
        lambda name, value: (
            f"https://api.example.com/v1?limit=5&{name}={quote(value, safe='')}&page=2"
        ),
        ("https://api.example.com/v1?limit=5&", "&page=2"),
        is_encoded=True,
    ),
    Surrounding(
        "code",
        lambda name, value: f'client = Client({name}="{value}", timeout=30)',
        ("client = Client(", "timeout=30)"),
    ),
    Surrounding(
        "assignment in code",
        lambda name, value: f"const {name} = '{value}';\nconst port = 80;",
        ("const ", "const port = 80;"),
    ),
    Surrounding(
        "log line",
        lambda name, value: f"2026-01-05T10:00:00Z ERROR refused {name}={value} status=401",
        ("2026-01-05T10:00:00Z ERROR refused", "status=401"),
    ),
    Surrounding(
        "python dict",
        lambda name, value: f"{{'user': 'ann', '{name}': '{value}', 'port': 80}}",
        ("'user': 'ann'", "'port': 80"),
    ),
    Surrounding("twice-escaped JSON", nested_json, ("Oslo", "retries")),
    Surrounding(
        "after an escaped newline",
        lambda name, value: json.dumps({"output": f"Found:\n{name}={value}\nin 3 files"}),
        ("Found:", "in 3 files"),
    ),
)

IN_TABLES = (
    Surrounding(
        "tabs",
        lambda name, value: f"user\tann\n{name}\t{value}\nport\t80\n",
        ("user\tann", "port\t80"),
    ),
    Surrounding(
        "escaped tabs",
        lambda name, value: json.dumps({"output": f"user\tann\n{name}\t{value}\nport\t80"}),
        (r"user\tann", r"port\t80"),
    ),
    Surrounding(
        "aligned columns",
        lambda name, value: f"{'user':24}ann\n{name:24}{value}\n{'port':24}80\n",
        ("user", "80"),
    ),
    Surrounding(
        "markdown table",
        lambda name, value: f"| name | value |\n|---|---|\n| {name} | {value} |\n| port | 80 |",
        ("| name | value |", "| port | 80 |"),
    ),
)

NOT_ENCODED = tuple(surrounding for surrounding in BY_FORM if not surrounding.is_encoded)


def by_form(*names: str) -> tuple[Surrounding, ...]:
    """The surroundings of these names."""
    return tuple(surrounding for surrounding in BY_FORM if surrounding.name in names)


IN_SENTENCES = by_form("json", "prose", "end of sentence", "log line", "twice-escaped JSON")
WHOLE_TEXTS = by_form("json", "prose", "code", "log line", "twice-escaped JSON", "shell")
